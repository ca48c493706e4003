"""HTTP frame of the simulated cloud: requests, replies and a threaded server.

One port serves all services; a service sees the path below its prefix. The
server speaks HTTP/1.1 with keep-alive and can end a connection in the middle
of an answer, which the fault injection needs.
"""

import dataclasses
import json
import socket
import socketserver
import sys
import time
import uuid
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, unquote

JSON = "application/json"
HTML = "text/html; charset=UTF-8"


@dataclasses.dataclass
class Request:
    """One request. `path` is percent-decoded; `target` is as it was sent."""

    method: str
    target: str
    headers: dict  # names in lower case
    body: bytes
    path: str = ""
    query: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        path, _, query = self.target.partition("?")
        self.path = unquote(path)
        self.query = parse_qsl(query, keep_blank_values=True)

    def args(self, name):
        return [value for key, value in self.query if key == name]

    def arg(self, name, default=None):
        return next(iter(self.args(name)), default)

    def json(self):
        """The decoded body; raises ValueError when it is no JSON object."""
        value = json.loads(self.body)
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
        return value

    def below(self, prefix):
        """The same request as the service mounted at PREFIX sees it."""
        return dataclasses.replace(self, target=self.target[len(prefix):] or "/")


@dataclasses.dataclass
class Reply:
    """One answer; `ending` is how the connection goes on after it."""

    status: int
    body: bytes = b""
    content_type: str | None = JSON
    headers: list = dataclasses.field(default_factory=list)
    ending: str = "keep"  # keep | drop (say nothing) | cut (half of the body)


def json_reply(status, value, headers=(), content_type=JSON):
    return Reply(status, json.dumps(value).encode(), content_type, list(headers))


def html_reply(status, title, text, headers=(), detail=""):
    """An error page in the form that WebOb gives it."""
    body = (f"<html>\n <head>\n  <title>{status} {title}</title>\n </head>\n <body>\n"
            f"  <h1>{status} {title}</h1>\n  {text}<br /><br />\n{detail}\n\n\n </body>\n</html>")
    return Reply(status, body.encode(), HTML, list(headers))


def request_id():
    return f"req-{uuid.uuid4()}"


def iso_time(seconds, suffix="Z"):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + suffix


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self):
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self):
        self.server.connections.discard(self.connection)
        super().finish()

    def handle_expect_100(self):
        proceed = super().handle_expect_100()
        self.wfile.flush()  # or a client with a large body waits for its own time-out
        return proceed

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self.command, self.path,
                          {k.lower(): v for k, v in self.headers.items()},
                          self.rfile.read(length))
        self.send(self.server.application(request))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def send(self, reply):
        if reply.ending != "keep":
            self.close_connection = True
        if reply.ending == "drop":
            return
        self.send_response_only(reply.status)
        if reply.content_type:
            self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Date", formatdate(usegmt=True))
        for name, value in reply.headers:
            self.send_header(name, value)
        self.end_headers()
        body = b"" if self.command == "HEAD" else reply.body
        self.wfile.write(body[:len(body) // 2] if reply.ending == "cut" else body)
        self.wfile.flush()
        self.server.last_sent = time.monotonic()

    def log_message(self, *args):
        pass  # the request log belongs to the application


class Threads(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A TCP server with a thread per connection, to which a peer that goes away is no news."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Server(Threads):
    """HTTP server whose `application` maps a Request to a Reply."""

    def __init__(self, port, application):
        self.application = application
        self.connections = set()
        self.last_sent = 0.0  # when the last byte of an answer left, time.monotonic()
        super().__init__(("127.0.0.1", port), _Handler)

    def stop(self):
        """Ends the listener and every connection that is still open."""
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # already closed by its own thread
