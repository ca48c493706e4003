/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replays stored inputs through a fuzz target, so that every build runs the corpus. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
	FILE *file = fopen(path, "rb");
	static uint8_t data[1 << 20];

	if (!file) {
		perror(path);
		return 1;
	}
	size_t size = fread(data, 1, sizeof data, file);
	fclose(file);
	/* An exact copy, so that a sanitizer sees a read past its end. */
	uint8_t *copy = malloc(size ? size : 1);
	if (!copy)
		return 1;
	for (size_t i = 0; i < size; i++)
		copy[i] = data[i];
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (replay(argv[i]))
			return 1;
	}
	printf("%d inputs replayed\n", argc - 1);
	return argc < 2; /* a corpus that is gone is a failure */
}
