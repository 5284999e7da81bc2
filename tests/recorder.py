"""A proxy for a tracking server: counts requests, and delays or replaces answers."""

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_ID = re.compile(r"\b(m-)?[0-9a-f]{32}\b")
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")

Answer = tuple[int, bytes]  # status and content
Spoil = Callable[[str, bytes, Callable[[], Answer]], Answer]


class Recorder:
    """What a proxy has seen.

    Attributes:
        uri: its own address, for ``MLFLOW_TRACKING_URI``.
        counts: requests by method and endpoint, such as
            ``POST /api/2.0/mlflow/runs/create``; ids read ``<id>``.
        logins: requests by their ``Authorization`` header.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.counts: Counter[str] = Counter()
        self.logins: Counter[str | None] = Counter()


@contextmanager
def recorder(
    target: str, latency: float = 0.0, spoil: Spoil | None = None
) -> Iterator[Recorder]:
    """Run a proxy for a server, on a free port of this machine, inside the block.

    Args:
        target: the server's address, such as ``http://127.0.0.1:5000``.
        latency: seconds by which every answer is delayed.
        spoil: returns the answer to a request; called with the endpoint, the body, and
            a function that returns the server's own answer.
    """
    server = urlsplit(target).netloc
    connections = threading.local()
    clients: set[socket.socket] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # the algorithm adds 40 ms to each answer

        def forward(self) -> None:
            path = _ID.sub("<id>", urlsplit(self.path).path)
            seen.counts[f"{self.command} {path}"] += 1
            seen.logins[self.headers.get("Authorization")] += 1
            clients.add(self.connection)
            time.sleep(latency)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers: list[tuple[str, str]] = []

            def real() -> Answer:
                answer = self.answer_of_the_server(body)
                headers.extend(answer.getheaders())
                return answer.status, answer.read()

            status, content = spoil(path, body, real) if spoil else real()
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def answer_of_the_server(self, body: bytes) -> HTTPResponse:
            if not hasattr(connections, "server"):
                connections.server = HTTPConnection(server)
            connection = connections.server
            try:
                return self.ask(connection, body)
            except ConnectionError:  # the server has closed it meanwhile
                connection.close()
                return self.ask(connection, body)

        def ask(self, connection: HTTPConnection, body: bytes) -> HTTPResponse:
            connection.request(self.command, self.path, body, dict(self.headers))
            return connection.getresponse()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward

        def handle(self) -> None:
            with suppress(ConnectionError):  # a client that has given up
                super().handle()

        def log_message(self, *_: object) -> None:
            """Log nothing: the counts show the requests."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.daemon_threads = True
    seen = Recorder(f"http://127.0.0.1:{proxy.server_port}")
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
        for client in clients:  # clients keep their connections open
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
