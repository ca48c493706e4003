/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HTTP/1.1 GETs at fixed rates, none repeated, and every failure counted by its kind.
 *
 *     load_client [-n REQUESTS] [-t SECONDS] ADDRESS:PORT STREAM...
 *     STREAM: NAME,RATE[,close][,sticky][,path=/PAGE][,pause=MS]
 *
 * Open loop: a request leaves when the schedule says so, whatever became of the ones
 * before, and its time counts from then. A stream uses kept connections again, the one
 * that was idle longest first and none before it was idle for `pause`; "close" makes a
 * connection per request. "sticky" plays JARS browsers that keep a cookie each.
 *
 * A server may close an idle connection at any time, so each is looked at (MSG_PEEK)
 * immediately before it is used again. Once a request was sent there is no excuse: that
 * failure is `stale` and not `reset` when the connection had carried a request before.
 * Ends after REQUESTS, SECONDS or SIGTERM, when the last request has ended, with one JSON
 * line; failures are lines on standard error, the first of them. */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define US_PER_S 1000000
#define US_PER_MS 1000
#define TIMEOUT_US (15 * US_PER_S)
#define SLOW_US US_PER_S
/* A request that leaves so much later than it was due: this machine has too much to do.
 */
#define LATE_US (100 * US_PER_MS)
/* Below any server's keep-alive time-out, so that this end does not provoke the race. */
#define IDLE_MAX_US (3 * US_PER_S)
#define CONNECTIONS_MAX 8000
#define STREAMS_MAX 16
#define JARS 64
#define COOKIE_MAX 64
#define HEAD_MAX 4096
#define COMPLAINTS_MAX 20
#define SLOT_US 100
#define SLOTS (20 * US_PER_S / SLOT_US)

enum outcome { OK, REFUSED, RESET, STALE, TIMEOUT, SHORT, NON2XX, OTHER, OUTCOMES };
static const char *const outcome_names[OUTCOMES] = {
	"ok", "refused", "reset", "stale", "timeout", "short", "non2xx", "other"};

enum state { CONNECTING, WAITING, IN_BODY, IDLE };

struct connection {
	TAILQ_ENTRY(connection) link; /* of the busy ones, or of its stream's idle ones */
	struct stream *stream;
	enum state state;
	int fd, status;
	bool reused, keep;
	int64_t due_us, started_us, idle_since_us, body_left;
	unsigned jar;
	size_t head_len;
	char head[HEAD_MAX];
};
TAILQ_HEAD(connections, connection);

struct stream {
	const char *name, *path;
	double rate;
	bool close, sticky;
	int64_t pause_us, sent, late, reused, closed_idle, moved, slow, max_us;
	int64_t outcomes[OUTCOMES];
	struct connections idle;
	char cookies[JARS][COOKIE_MAX];
	uint32_t *slots; /* how many requests took n * SLOT_US */
};

static struct stream streams[STREAMS_MAX];
static size_t n_streams;
static struct connections busy = TAILQ_HEAD_INITIALIZER(busy); /* oldest first */
static struct sockaddr_in target = {.sin_family = AF_INET};
static int epoll_fd, open_connections, complaints;
static int64_t start_us;
static volatile sig_atomic_t stopped;

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

static void stop(int signal_number)
{
	(void)signal_number;
	stopped = 1;
}

static void usage(const char *problem)
{
	fprintf(stderr,
		"load_client: %s\n"
		"usage: load_client [-n REQUESTS] [-t SECONDS] ADDRESS:PORT "
		"NAME,RATE[,close][,sticky][,path=/PAGE][,pause=MS]...\n",
		problem);
	exit(3);
}

static void watch(struct connection *connection, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = connection};

	if (epoll_ctl(epoll_fd, operation, connection->fd, &event) < 0) {
		perror("load_client: epoll_ctl");
		exit(2);
	}
}

static void drop(struct connection *connection)
{
	TAILQ_REMOVE(connection->state == IDLE ? &connection->stream->idle : &busy,
		connection, link);
	close(connection->fd);
	open_connections--;
	free(connection);
}

static void count(
	struct stream *stream, enum outcome outcome, int64_t due_us, const char *detail)
{
	int64_t took_us = now_us() - due_us;
	int64_t slot = took_us / SLOT_US;

	stream->outcomes[outcome]++;
	stream->slots[slot < SLOTS ? slot : SLOTS - 1]++;
	stream->slow += took_us > SLOW_US;
	if (took_us > stream->max_us)
		stream->max_us = took_us;
	if (outcome != OK && complaints++ < COMPLAINTS_MAX)
		fprintf(stderr, "%.3f %s %s after %.3f s: %s\n",
			(double)(now_us() - start_us) / US_PER_S, stream->name,
			outcome_names[outcome], (double)took_us / US_PER_S, detail);
}

static void fail(struct connection *connection, enum outcome outcome, const char *detail)
{
	count(connection->stream, outcome, connection->due_us, detail);
	drop(connection);
}

static void fail_errno(struct connection *connection, int errnum)
{
	enum outcome outcome = OTHER;

	if (connection->state == CONNECTING)
		outcome = errnum == ECONNREFUSED ? REFUSED
			  : errnum == ETIMEDOUT	 ? TIMEOUT
			  : errnum == ECONNRESET ? RESET
						 : OTHER;
	else if (connection->head_len > 0)
		outcome = SHORT;
	else
		outcome = connection->reused ? STALE : RESET;
	fail(connection, outcome,
		errnum ? strerror(errnum) : "the connection was closed");
}

static void ask(struct connection *connection)
{
	struct stream *stream = connection->stream;
	const char *cookie = stream->cookies[connection->jar];
	char request[512];
	int len = snprintf(request, sizeof request,
		"GET %s HTTP/1.1\r\nHost: bench\r\n%s%s%s%s\r\n", stream->path,
		stream->close ? "Connection: close\r\n" : "", *cookie ? "Cookie: " : "",
		cookie, *cookie ? "\r\n" : "");

	connection->state = WAITING;
	connection->head_len = 0;
	if (send(connection->fd, request, (size_t)len, MSG_NOSIGNAL) != len)
		fail_errno(connection, errno);
}

static void connect_new(struct stream *stream, int64_t due_us)
{
	if (open_connections >= CONNECTIONS_MAX) {
		count(stream, OTHER, due_us, "too many connections wait already");
		return;
	}
	struct connection *connection = calloc(1, sizeof *connection);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (!connection || fd < 0) {
		perror("load_client: socket");
		exit(2);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	*connection = (struct connection){.stream = stream,
		.fd = fd,
		.due_us = due_us,
		.started_us = now_us(),
		.jar = (unsigned)(stream->sent % JARS)};
	TAILQ_INSERT_TAIL(&busy, connection, link);
	open_connections++;
	if (connect(fd, (struct sockaddr *)&target, sizeof target) < 0 &&
		errno != EINPROGRESS) {
		fail_errno(connection, errno);
		return;
	}
	watch(connection, EPOLL_CTL_ADD, EPOLLOUT);
}

/* The connection that was idle longest, if that is long enough and it is still good. */
static struct connection *take_idle(struct stream *stream, int64_t now)
{
	struct connection *connection;
	char byte;

	while ((connection = TAILQ_FIRST(&stream->idle))) {
		int64_t idle_us = now - connection->idle_since_us;

		if (idle_us < stream->pause_us)
			return NULL;
		if (recv(connection->fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN) {
			if (idle_us < IDLE_MAX_US)
				return connection;
		} else {
			stream->closed_idle++;
		}
		drop(connection);
	}
	return NULL;
}

static void request(struct stream *stream, int64_t due_us)
{
	int64_t now = now_us();
	struct connection *connection = take_idle(stream, now);

	stream->sent++;
	stream->late += now - due_us > LATE_US;
	if (!connection) {
		connect_new(stream, due_us);
		return;
	}
	TAILQ_REMOVE(&stream->idle, connection, link);
	TAILQ_INSERT_TAIL(&busy, connection, link);
	stream->reused++;
	connection->reused = true;
	connection->due_us = due_us;
	connection->started_us = now;
	ask(connection);
}

/* The value of a header, or NULL. */
static const char *header(const char *head, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " ");
	}
	return NULL;
}

static void keep_cookie(struct connection *connection)
{
	struct stream *stream = connection->stream;
	char *cookie = stream->cookies[connection->jar];
	const char *value = header(connection->head, "set-cookie");
	size_t len = value ? strcspn(value, ";\r") : 0;

	if (!stream->sticky || len == 0 || len >= COOKIE_MAX)
		return;
	stream->moved += *cookie && (strncmp(cookie, value, len) != 0 || cookie[len]);
	memcpy(cookie, value, len);
	cookie[len] = '\0';
}

static void finish(struct connection *connection)
{
	struct stream *stream = connection->stream;
	bool good = connection->status >= 200 && connection->status < 300;
	char detail[64];

	snprintf(detail, sizeof detail, "status %d", connection->status);
	count(stream, good ? OK : NON2XX, connection->due_us, detail);
	if (stream->close || !connection->keep) {
		drop(connection);
		return;
	}
	TAILQ_REMOVE(&busy, connection, link);
	TAILQ_INSERT_TAIL(&stream->idle, connection, link);
	connection->state = IDLE;
	connection->idle_since_us = now_us();
}

/* Bytes of the body that came; more than were promised end the connection too. */
static void body(struct connection *connection, int64_t len)
{
	connection->body_left -= len;
	if (connection->body_left < 0)
		fail(connection, OTHER, "more bytes than Content-Length promised");
	else if (connection->body_left == 0)
		finish(connection);
}

static void parse_head(struct connection *connection)
{
	char *head = connection->head;
	char *end = strstr(head, "\r\n\r\n");

	if (!end) {
		if (connection->head_len == HEAD_MAX - 1)
			fail(connection, OTHER, "the head of the answer is too long");
		return;
	}
	const char *length = header(head, "content-length");
	const char *kept = header(head, "connection");
	if (sscanf(head, "HTTP/1.%*d %d", &connection->status) != 1 || !length) {
		fail(connection, OTHER, "no HTTP/1 answer with a Content-Length");
		return;
	}
	keep_cookie(connection);
	connection->keep = !kept || strncasecmp(kept, "close", 5) != 0;
	connection->body_left = strtoll(length, NULL, 10);
	connection->state = IN_BODY;
	body(connection, head + connection->head_len - (end + 4));
}

static void receive(struct connection *connection)
{
	static char scratch[65536];
	bool in_head = connection->state == WAITING;
	char *place = in_head ? connection->head + connection->head_len : scratch;
	size_t room = in_head ? HEAD_MAX - 1 - connection->head_len : sizeof scratch;
	ssize_t len = recv(connection->fd, place, room, 0);

	if (len < 0 && errno == EAGAIN)
		return;
	if (connection->state == IDLE) {
		connection->stream->closed_idle++;
		drop(connection);
	} else if (len <= 0) {
		fail_errno(connection, len < 0 ? errno : 0);
	} else if (in_head) {
		connection->head_len += (size_t)len;
		connection->head[connection->head_len] = '\0';
		parse_head(connection);
	} else {
		body(connection, len);
	}
}

static void connected(struct connection *connection)
{
	int errnum = 0;

	getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &errnum,
		&(socklen_t){sizeof errnum});
	if (errnum) {
		fail_errno(connection, errnum);
		return;
	}
	watch(connection, EPOLL_CTL_MOD, EPOLLIN);
	ask(connection);
}

static void handle_events(int timeout_ms)
{
	struct epoll_event events[256];
	int n = epoll_wait(epoll_fd, events, 256, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct connection *connection = events[i].data.ptr;

		if (connection->state == CONNECTING)
			connected(connection);
		else
			receive(connection);
	}
	struct connection *oldest;
	while ((oldest = TAILQ_FIRST(&busy)) &&
		now_us() - oldest->started_us > TIMEOUT_US)
		fail(oldest, TIMEOUT, "no whole answer");
}

/* When request number `n` of a stream is due. */
static int64_t due(const struct stream *stream, int64_t n)
{
	return start_us + (int64_t)((double)n * US_PER_S / stream->rate);
}

/* Sends what is due; how long nothing more is, or -1 when `limit` requests are out. */
static int send_due(int64_t limit)
{
	int64_t now = now_us(), next = now + US_PER_S, sent = 0;

	for (size_t i = 0; i < n_streams; i++)
		sent += streams[i].sent;
	for (size_t i = 0; i < n_streams; i++) {
		struct stream *stream = &streams[i];
		int64_t when;

		for (; (when = due(stream, stream->sent)) <= now; sent++) {
			if (sent == limit)
				return -1;
			request(stream, when);
		}
		if (when < next)
			next = when;
	}
	return (int)((next - now + US_PER_MS - 1) / US_PER_MS);
}

static double percentile_ms(const struct stream *stream, double share)
{
	int64_t wanted = (int64_t)((double)stream->sent * share), seen = 0;
	int64_t slot = 0;

	while (slot < SLOTS - 1 && (seen += stream->slots[slot]) < wanted)
		slot++;
	return (double)slot * SLOT_US / US_PER_MS;
}

static void report(void)
{
	printf("{\"seconds\": %.3f", (double)(now_us() - start_us) / US_PER_S);
	for (size_t i = 0; i < n_streams; i++) {
		const struct stream *stream = &streams[i];

		printf(", \"%s\": {\"sent\": %" PRId64, stream->name, stream->sent);
		for (int outcome = 0; outcome < OUTCOMES; outcome++)
			printf(", \"%s\": %" PRId64, outcome_names[outcome],
				stream->outcomes[outcome]);
		printf(", \"slow\": %" PRId64 ", \"late\": %" PRId64
		       ", \"reused\": %" PRId64 ", \"closed_idle\": %" PRId64
		       ", \"moved\": %" PRId64
		       ", \"median_ms\": %.1f, \"p99_ms\": %.1f, \"max_ms\": %.1f}",
			stream->slow, stream->late, stream->reused, stream->closed_idle,
			stream->moved, percentile_ms(stream, 0.5),
			percentile_ms(stream, 0.99), (double)stream->max_us / US_PER_MS);
	}
	puts("}");
}

static void add_stream(char *text)
{
	struct stream *stream = &streams[n_streams++];
	char *rate, *word;

	if (n_streams > STREAMS_MAX)
		usage("too many streams");
	*stream = (struct stream){.path = "/", .name = strsep(&text, ",")};
	TAILQ_INIT(&stream->idle);
	stream->slots = calloc(SLOTS, sizeof *stream->slots);
	rate = strsep(&text, ",");
	stream->rate = rate ? strtod(rate, NULL) : 0;
	if (!stream->slots || !(stream->rate > 0))
		usage("a stream has a name and a rate above 0");
	while ((word = strsep(&text, ","))) {
		if (strcmp(word, "close") == 0)
			stream->close = true;
		else if (strcmp(word, "sticky") == 0)
			stream->sticky = true;
		else if (strncmp(word, "path=", 5) == 0)
			stream->path = word + 5;
		else if (strncmp(word, "pause=", 6) == 0)
			stream->pause_us = strtoll(word + 6, NULL, 10) * US_PER_MS;
		else
			usage(word);
	}
}

static void set_target(char *text)
{
	char *port = strrchr(text, ':');

	if (!port)
		usage("ADDRESS:PORT has no port");
	*port++ = '\0';
	target.sin_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET, text, &target.sin_addr) != 1)
		usage("ADDRESS is no IPv4 address");
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	int64_t requests = INT64_MAX, seconds = INT32_MAX;
	int option, pause_ms = 0;

	while ((option = getopt(argc, argv, "n:t:")) != -1) {
		if (option == 'n')
			requests = atoll(optarg);
		else if (option == 't')
			seconds = atoll(optarg);
		else
			usage("unknown option");
	}
	if (argc - optind < 2)
		usage("a target and a stream are needed");
	set_target(argv[optind++]);
	while (optind < argc)
		add_stream(argv[optind++]);
	raise_descriptor_limit();
	signal(SIGTERM, stop);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	start_us = now_us();
	while (!stopped && pause_ms >= 0 && now_us() < start_us + seconds * US_PER_S) {
		handle_events(pause_ms);
		pause_ms = send_due(requests);
	}
	while (!TAILQ_EMPTY(&busy))
		handle_events(1000);
	report();
	return 0;
}
