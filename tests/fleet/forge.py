"""A forge on loopback: what GitHub's and GitLab's interfaces answer, as documented."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answers = dict[str, Any]
"""Method and path without a query, and the JSON that is answered."""


class Server(ThreadingHTTPServer):
    """Answers from a table, and keeps what is posted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers: Answers = {}
        self.posted: list[tuple[str, Any]] = []
        self.tokens: set[str | None] = set()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((self.path, json.loads(body)))
        self._answer()

    def _answer(self) -> None:
        names = ("Authorization", "PRIVATE-TOKEN")
        self.server.tokens.update(filter(None, map(self.headers.get, names)))
        key = f"{self.command} {self.path.partition('?')[0]}"
        found = self.server.answers.get(key)
        text = json.dumps({"message": "Not Found"} if found is None else found)
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def forge() -> Iterator[Server]:
    """Serve a forge until the end of the block."""
    server = Server()
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
