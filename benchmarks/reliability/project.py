"""The project whose runs are killed: its files, its processes, its truth."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import yaml

from benchmarks.contestants import (
    ARTIFACT,
    METRIC,
    OURS,
    PACKAGE,
    TEMPLATE,
    Contestant,
    build,
)

from .registry import NODES

RIVALS_VERSION = "2.0.3"
_HOOK = """
from .pipeline_registry import Truth

HOOKS = (*globals().get("HOOKS", ()), Truth())
"""


@dataclass(frozen=True)
class Ended:
    """A process that has ended.

    Attributes:
        at: when.
        code: its exit code; negative for a signal.
        output: lines, each with the time at which it came.
        hung: whether it had to be ended.
    """

    at: float
    code: int
    output: list[tuple[float, str]]
    hung: bool = False

    @property
    def text(self) -> str:
        """The output."""
        return "".join(line for _, line in self.output)


class Process:
    """A command of Kedro's whose output is read with the time of each line."""

    def __init__(self, project: Path, *words: str, **variables: str) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        env |= {"DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "1000"}
        env |= {"PYTHONFAULTHANDLER": "1", **variables}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        self._process = subprocess.Popen(
            [project / ".venv/bin/kedro", *words],
            cwd=project,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._output: list[tuple[float, str]] = []
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._output.append((time.time(), line))

    @property
    def is_alive(self) -> bool:
        """Whether it goes on."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill it (kill -9)."""
        self._process.kill()

    def wait(self, seconds: float) -> Ended:
        """Wait for its end; one that hangs prints where its threads are, and ends."""
        hung = False
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            hung = True
            self._process.send_signal(signal.SIGABRT)
            self._process.wait()
        at = time.time()
        self._reader.join(10)
        return Ended(at, self._process.returncode, self._output, hung)


class Measured:
    """A contestant's project, emptied for each trial.

    Args:
        name: of the contestant.
        folder: where environments stay from call to call.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.version = name, RIVALS_VERSION
        if name == OURS:
            words = ["git", "log", "-1", "--format=%h", "--", "template"]
            self.version = subprocess.check_output(
                words, cwd=TEMPLATE, text=True
            ).strip()
        home = folder / self.version
        if not (home / "built").exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            build(name, home)
            (home / "built").touch()
        self.path = Contestant(name, home / name.replace(" ", "-")).project
        source = self.path / "src" / PACKAGE
        shutil.copy(
            Path(__file__).with_name("registry.py"), source / "pipeline_registry.py"
        )
        settings = source / "settings.py"
        text = settings.read_text("utf-8").removesuffix(_HOOK)
        settings.write_text(text + _HOOK, "utf-8")
        metrics = {f"metric_{n}": {"type": METRIC[name]} for n in range(NODES)}
        artifacts = {f"artifact_{n}": self._artifact(n) for n in range(NODES)}
        self._write("base/catalog.yml", {**metrics, **artifacts})

    def _artifact(self, n: int) -> dict[str, Any]:
        path = f"data/artifact_{n}.json"
        file = {"type": "json.JSONDataset", "filepath": path}
        return {"type": ARTIFACT[self.name], "dataset": file}

    def prepare(
        self, uri: str, experiment: str, first: float, seconds: float, bulk: int = 0
    ) -> None:
        """Empty the project for a trial.

        Args:
            uri: the server.
            experiment: the trial's own.
            first: the value of the first node.
            seconds: how long a node takes.
            bulk: how many texts a node logs, too.
        """
        for name in ("mlruns", "data"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        (self.path / "data").mkdir()
        self._truth.unlink(missing_ok=True)
        values = {f"value_{n}": first + n for n in range(NODES)}
        self._write("base/parameters.yml", {**values, "seconds": seconds, "bulk": bulk})
        content = {
            "server": {"mlflow_tracking_uri": uri},
            "tracking": {"experiment": {"name": experiment}},
        }
        self._write("local/mlflow.yml", content)

    def start(self, *words: str, **variables: str) -> Process:
        """Start a command of Kedro's."""
        return Process(self.path, *words, **variables)

    def sync(self) -> tuple[list[dict[str, Any]], Ended]:
        """Call ``kedro mlflow sync`` to its end; return what it says of each run."""
        ended = self.start("mlflow", "sync", "--format", "json").wait(180)
        lists = [text for _, text in ended.output if text.startswith("[{")]
        return json.loads(lists[-1]) if lists else [], ended

    @property
    def truth(self) -> list[dict[str, Any]]:
        """What was logged, in order."""
        with suppress(FileNotFoundError):
            return [json.loads(line) for line in self._truth.read_text().splitlines()]
        return []

    @property
    def has_begun(self) -> bool:
        """Whether the run is about to be created, or a node has begun."""
        return bool(self.outboxes) or self._truth.exists()

    @property
    def outboxes(self) -> list[Path]:
        """The outboxes that are there."""
        return [file.parent for file in self.path.glob("mlruns/outbox/*/run.json")]

    @property
    def litter(self) -> list[str]:
        """What is beside the outboxes and is of no use: half of one, or a lock."""
        found = self.path.glob("mlruns/outbox/*")
        useful = {"ids", "refused.jsonl", *(folder.name for folder in self.outboxes)}
        return sorted(file.name for file in found if file.name not in useful)

    def keep(self, folder: Path, outputs: Iterator[tuple[str, Ended]]) -> None:
        """Keep what a trial has left, to look at."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, ended in outputs:
            (folder / f"{name}.txt").write_text(ended.text, "utf-8")
        for name in ("mlruns", "truth.jsonl", "changes.txt"):
            found = self.path / name
            if found.is_dir():
                shutil.copytree(found, folder / name)
            elif found.exists():
                shutil.copy(found, folder)

    @property
    def _truth(self) -> Path:
        return self.path / "truth.jsonl"

    def _write(self, name: str, content: dict[str, Any]) -> None:
        file = self.path / "conf" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(content), "utf-8")
