"""A proxy that lets only requests with a valid bearer token through."""

import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tests.e2e.login.identity import Identity


class Gate:
    """The proxy, on a free port.

    Args:
        server: address of the MLflow server behind it.
        identity: the provider whose tokens are valid.

    Attributes:
        refusals: why requests were refused.
        tokens: the valid tokens that came, with the paths they were sent to.
        environments: the values of the header ``X-Kedro-Env``.
        skew: by how many seconds its clock is ahead.
    """

    def __init__(self, server: str, identity: Identity) -> None:
        self.refusals: list[str] = []
        self.tokens: dict[str, list[str]] = {}
        self.environments: set[str | None] = set()
        self.skew = 0
        self._server = server
        self._issuer = identity.issuer
        self._audience = identity.audience
        keys = requests.get(
            f"{identity.issuer}/jwks", verify=identity.ca_file, timeout=10
        )
        self._keys = KeySet.import_key_set(keys.json())
        handler = type("Handler", (_Handler,), {"gate": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.uri = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def forget(self) -> None:
        """Clear all records."""
        self.refusals.clear()
        self.tokens.clear()
        self.environments.clear()
        self.skew = 0

    def close(self) -> None:
        """Stop the proxy."""
        self._http.shutdown()
        self._http.server_close()

    def lets_in(self, header: str, path: str) -> bool:
        """Whether an ``Authorization`` header is one valid token and nothing else."""
        bearer = re.fullmatch(r"Bearer (\S+)", header)
        try:
            if bearer is None:
                raise ValueError(f"{len(header.split())} words in the header")
            token = jwt.decode(bearer[1], self._keys, algorithms=["RS256"])
            jwt.JWTClaimsRegistry(
                now=int(time.time()) + self.skew,
                iss={"essential": True, "value": self._issuer},
                aud={"essential": True, "value": self._audience},
                exp={"essential": True},
            ).validate(token.claims)
        except (JoseError, ValueError) as error:
            self.refusals.append(f"{path}: {error}")
            return False
        self.tokens.setdefault(bearer[1], []).append(path)
        return True

    def forward(self, handler: "_Handler", body: bytes) -> requests.Response:
        """Forward a request to the server."""
        return requests.request(
            handler.command,
            f"{self._server}{handler.path}",
            headers={
                "Content-Type": handler.headers.get("Content-Type", ""),
                "Accept-Encoding": "identity",
            },
            data=body,
            timeout=60,
        )


class _Handler(BaseHTTPRequestHandler):
    gate: Gate
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self._body()
        self.gate.environments.add(self.headers.get("X-Kedro-Env"))
        if self.gate.lets_in(self.headers.get("Authorization", ""), self.path):
            answer = self.gate.forward(self, body)
            self._tell(answer.status_code, answer.content)
        else:
            self._tell(401, b"no good token")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _tell(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
