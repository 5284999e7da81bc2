"""What a client of a scoring server does."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import requests

from tests.loopback import free_port, wait_until


@contextmanager
def scoring_server(folder: Path, *words: str, **variables: Any) -> Iterator[str]:
    """Start a command with a port, and yield the address once it answers.

    The command has to exit with 0, or because of the signal that ends it.
    """
    port = free_port()
    with (folder / "server.log").open("w") as log:
        process = Popen(
            [*words, "--port", str(port)], stdout=log, stderr=log, **variables
        )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, (folder / "server.log").read_text()
        try:
            return requests.get(f"{address}/ping", timeout=5).ok
        except requests.RequestException:
            return False

    try:
        wait_until(answers)
        yield address
    finally:
        process.terminate()
        assert process.wait(60) in (0, -15)


def ask(
    address: str, rows: list[dict[str, Any]], params: dict[str, Any] | None = None
) -> requests.Response:
    """Send rows, with parameters if there are some."""
    body: dict[str, Any] = {"dataframe_records": rows}
    if params:
        body["params"] = params
    return requests.post(f"{address}/invocations", json=body, timeout=60)


def ask_in_every_way(
    address: str, row: dict[str, Any], params: dict[str, Any]
) -> tuple[Any, Any]:
    """Send one row, 10,000 rows, wrong columns, a parameter, and 16 requests at once.

    Returns:
        The answer for the row, and for the row with the parameters.
    """
    (one,) = ask(address, [row]).json()["predictions"]
    many = ask(address, [row] * 10_000).json()["predictions"]
    assert len(many) == 10_000
    assert many[-1]["species" if "species" in one else "score"]
    wrong = ask(address, [{"nothing": 1}])
    assert wrong.status_code == 400
    assert "missing inputs" in wrong.json()["message"]
    (other,) = ask(address, [row], params).json()["predictions"]
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(
            lambda _: ask(address, [row]).json()["predictions"], range(64)
        )
        assert all(answer == [one] for answer in answers)
    return one, other
