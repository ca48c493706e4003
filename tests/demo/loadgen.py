#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A load generator that cannot overlook a failure: HTTP GETs at a given rate, none repeated.

Open loop: requests leave when the schedule says so, whatever became of the ones before. Every
second request goes over kept connections that are used again and again, the others ask for
"Connection: close". Every request ends as exactly one of

    ok        2xx and every byte that Content-Length promised
    refused   no connection: nothing listens
    reset     the connection ended before the first byte of the answer
    short     the connection ended within the answer
    timeout   no whole answer within --timeout, connecting included
    non2xx    an answer with another status
    other     an answer that is not HTTP, an error of this machine, or --max-in-flight wait already

Closing an idle kept connection is the server's right, so each one is looked at (MSG_PEEK)
immediately before it is used again, and one that was closed is replaced: nothing had been sent on
it. Once a request was sent there is no excuse; a server that closes just then counts as "reset".
So that the generator does not itself provoke that race, it gives up connections that were idle for
--idle-limit, which must lie well below the server's keep-alive time-out.

Standard input steers: each line "RATE SECONDS" moves to RATE requests a second within SECONDS and
stays there; the end of the input ends the run. Standard output has one JSON object a second with
the totals so far, the last one with "end". Each failure is a line on standard error.
"""
import argparse
import asyncio
import collections
import json
import socket
import sys

OUTCOMES = ("ok", "refused", "reset", "timeout", "short", "non2xx", "other")
HEAD_LIMIT = 64 * 1024
STEP_S = 0.05


class Failure(Exception):
    """A request that did not end as "ok": (outcome, what was seen)."""


class Connection:
    def __init__(self, sock):
        self.sock, self.requests, self.idle_since = sock, 0, 0.0

    def open_and_quiet(self):
        """False when the server closed the idle connection, or said something that nobody asked
        for.
        """
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False


class Schedule:
    """The rate over time: straight lines between the points that standard input gives."""

    def __init__(self, now):
        self.begin = self.end = now
        self.first = self.last = 0.0

    def move(self, now, rate, seconds):
        self.first, self.last, self.begin, self.end = self.rate(now), rate, now, now + seconds

    def rate(self, now):
        if now >= self.end:
            return self.last
        return self.first + (self.last - self.first) * (now - self.begin) / (self.end - self.begin)


def parse_head(head):
    """(status, length of the body, the server keeps the connection) of an answer's head."""
    lines = head.decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise Failure("other", f"not HTTP: {lines[0][:60]!r}")
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines[1:])
    }
    length = fields.get("content-length", "")
    keeps = version == "HTTP/1.1" and fields.get("connection", "").lower() != "close"
    return int(rest[:3]), int(length) if length.isdigit() else None, keeps


class Generator:
    def __init__(self, options):
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.schedule = Schedule(self.loop.time())
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self.sent = self.reused = self.closed_idle = self.in_flight = 0
        self.kept_open = 0  # kept connections that exist, idle or busy
        self.idle = collections.deque()
        self.latencies = []
        self.worst_lag_s = 0.0
        self.start = self.loop.time()
        self.end = None
        self.address = socket.getaddrinfo(*options.target, type=socket.SOCK_STREAM)[0]
        host = options.target[0]
        self.head = (
            f"GET {options.path} HTTP/1.1\r\nHost: {f'[{host}]' if ':' in host else host}\r\n"
        )

    async def connect(self):
        family, kind, protocol, _, address = self.address
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self.loop.sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        return Connection(sock)

    async def kept_connection(self):
        """The kept connection that was idle longest, if it may still be used, or a new one."""
        while self.idle and self.kept_open >= self.options.connections:
            connection = self.idle.popleft()
            fresh = self.loop.time() - connection.idle_since < self.options.idle_limit
            if fresh and connection.open_and_quiet():
                return connection
            self.closed_idle += fresh
            self.drop(connection)
        connection = await self.connect()
        self.kept_open += 1
        return connection

    def drop(self, connection):
        self.kept_open -= 1
        connection.sock.close()

    async def answer(self, connection, request):
        """Sends the request, reads the whole answer; True when the server keeps the connection."""
        data, sock = b"", connection.sock
        try:
            await self.loop.sock_sendall(sock, request)
            while b"\r\n\r\n" not in data:
                data += await self.more(sock, data, "head")
            head, _, body = data.partition(b"\r\n\r\n")
            status, length, keeps = parse_head(head)
            if not 200 <= status <= 299:
                raise Failure("non2xx", f"status {status}")
            if length is None:
                raise Failure("other", "an answer without Content-Length cannot be judged")
            while len(body) < length:
                body += await self.more(sock, data, f"body, {len(body)} of {length} bytes")
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Failure("short" if data else "reset", error.strerror) from error
        if len(body) > length:
            raise Failure("other", f"{len(body) - length} bytes more than Content-Length")
        return keeps

    async def more(self, sock, so_far, where):
        if len(so_far) > HEAD_LIMIT and where == "head":
            raise Failure("other", "a head without end")
        chunk = await self.loop.sock_recv(sock, 65536)
        if not chunk:
            raise Failure("short" if so_far else "reset", f"connection closed in the {where}")
        return chunk

    async def request(self, keep):
        """One request from the connection to the last byte; Failure says what went wrong."""
        connection = None
        try:
            async with asyncio.timeout(self.options.timeout):
                try:
                    connection = await (self.kept_connection() if keep else self.connect())
                except ConnectionRefusedError as error:
                    raise Failure("refused", error.strerror) from error
                except ConnectionResetError as error:
                    raise Failure("reset", error.strerror) from error
                connection.requests += 1
                self.reused += connection.requests > 1
                ending = "\r\n" if keep else "Connection: close\r\n\r\n"
                keeps = await self.answer(connection, (self.head + ending).encode())
            if keep and keeps:
                connection.idle_since = self.loop.time()
                self.idle.append(connection)
                connection = None
        except TimeoutError as error:
            raise Failure(
                "timeout", f"nothing complete within {self.options.timeout:g} s"
            ) from error
        except OSError as error:
            raise Failure("other", str(error)) from error
        finally:
            if connection and keep:
                self.drop(connection)
            elif connection:
                connection.sock.close()

    async def measured_request(self, keep):
        begin = self.loop.time()
        self.in_flight += 1
        try:
            await self.request(keep)
            self.count("ok")
            self.latencies.append(self.loop.time() - begin)
        except Failure as failure:
            self.count(*failure.args, keep)
        finally:
            self.in_flight -= 1

    def count(self, outcome, seen="", keep=False):
        self.counts[outcome] += 1
        if outcome != "ok":
            kind = "keep-alive" if keep else "close"
            now = self.loop.time() - self.start
            print(f"{now:.3f} {outcome} ({kind}): {seen}", file=sys.stderr, flush=True)

    def launch(self, tasks):
        self.sent += 1
        keep = self.sent % 2 == 0
        if self.in_flight >= self.options.max_in_flight:
            self.count("other", f"{self.in_flight} requests wait already", keep)
            return
        task = self.loop.create_task(self.measured_request(keep))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def run(self):
        """Lets requests go when they are due, until the end, and waits for the last answers."""
        tasks, owed, before = set(), 0.0, self.loop.time()
        while not self.ended():
            rate = self.schedule.rate(before)
            await asyncio.sleep(min((1 - owed) / rate, STEP_S) if rate else STEP_S)
            now = self.loop.time()
            owed, before = owed + rate * (now - before), now
            if rate:
                self.worst_lag_s = max(self.worst_lag_s, (owed - 1) / rate)
            while owed >= 1 and not self.ended():
                owed -= 1
                self.launch(tasks)
        if tasks:
            await asyncio.wait(tasks)

    def ended(self):
        if self.sent >= self.options.max_requests:
            self.end = "request limit"
        elif self.loop.time() - self.start >= self.options.max_seconds:
            self.end = "time limit"
        return self.end

    async def steer(self):
        """Takes the lines of standard input to the schedule; their end ends the run."""
        reader = asyncio.StreamReader()
        await self.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            rate, seconds = (float(word) for word in line.split())
            self.schedule.move(self.loop.time(), rate, seconds)
        self.end = self.end or "end of input"

    async def report_each_second(self):
        while True:
            await asyncio.sleep(1)
            self.report()

    def report(self):
        elapsed = self.loop.time() - self.start
        ordered = sorted(self.latencies)
        totals = {
            "t": round(elapsed, 3),
            "rate": round(self.schedule.rate(self.loop.time()), 1),
            "sent": self.sent,
            **self.counts,
            "in_flight": self.in_flight,
            "reused": self.reused,
            "closed_idle": self.closed_idle,
            "worst_lag_ms": round(self.worst_lag_s * 1000, 1),
        }
        if ordered:
            totals |= {
                "p50_ms": round(ordered[len(ordered) // 2] * 1000, 1),
                "p99_ms": round(ordered[len(ordered) * 99 // 100] * 1000, 1),
                "max_ms": round(ordered[-1] * 1000, 1),
            }
        if self.end and not self.in_flight:
            totals["end"] = self.end
        print(json.dumps(totals), flush=True)


def target(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", required=True, type=target, metavar="HOST:PORT")
    parser.add_argument("--path", default="/")
    parser.add_argument(
        "--timeout", type=float, default=5.0, metavar="SECONDS", help="for a whole request"
    )
    parser.add_argument(
        "--connections", type=int, default=24, help="kept connections to cycle through"
    )
    parser.add_argument("--idle-limit", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--max-in-flight", type=int, default=400)
    parser.add_argument("--max-requests", type=int, default=100_000)
    parser.add_argument("--max-seconds", type=float, default=600.0)
    return parser.parse_args()


async def main():
    generator = Generator(parse_options())
    helpers = [
        asyncio.create_task(generator.steer()),
        asyncio.create_task(generator.report_each_second()),
    ]
    await generator.run()
    for helper in helpers:
        helper.cancel()
    generator.report()


if __name__ == "__main__":
    asyncio.run(main())
