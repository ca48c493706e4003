/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs a command and says what it cost, for the benches: one line on standard error,
 *
 *     usage WALL_US CPU_US RSS_KB STATUS
 *
 * The peak of the memory of a process begins with that of the one that started it, so a
 * large interpreter cannot measure a small program. */
#include <config.h>

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t us_of(struct timeval time)
{
	return time.tv_sec * INT64_C(1000000) + time.tv_usec;
}

int main(int argc, char **argv)
{
	struct timespec start, end;
	struct rusage usage;
	int status;

	if (argc < 2)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &start);
	pid_t child = fork();
	if (child == 0) {
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	if (child < 0 || wait4(child, &status, 0, &usage) < 0) {
		perror("run_usage");
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	fprintf(stderr, "usage %lld %lld %ld %d\n",
		(long long)((end.tv_sec - start.tv_sec) * INT64_C(1000000) +
			    (end.tv_nsec - start.tv_nsec) / 1000),
		(long long)(us_of(usage.ru_utime) + us_of(usage.ru_stime)),
		usage.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	return 0;
}
