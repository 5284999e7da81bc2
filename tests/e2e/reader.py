"""Follow a page of the docs as a reader does: type its commands."""

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.conftest import TEMPLATE
from tests.e2e.newcomer import served, succeed


class Reader:
    """Follows a page, block by block, in a folder.

    A block of ``sh`` is typed line by line. Any other is added to the end of the file
    that its first line names.

    Attributes:
        project: where the reader is.
        address: of the server that the reader has started last.
        answers: what each call of ``curl`` and ``predict`` has printed.
    """

    def __init__(self, page: str, folder: Path) -> None:
        self.project = folder
        self.address = ""
        self.answers: list[str] = []
        self._blocks = re.findall(
            r"```(\w+)\n(.*?)```", (TEMPLATE / page).read_text("utf-8"), re.S
        )
        self._activate = ""
        self._open = ExitStack()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def activate(self, word: str = "") -> Iterator[str]:
        """Execute each block that contains a word, and yield the block afterwards."""
        for language, block in self._blocks:
            if word not in block:
                continue
            if language == "sh":
                for line in block.splitlines():
                    self._type(line)
            elif block.startswith("# "):
                self._write(block)
            yield block

    def _type(self, line: str) -> None:
        # copier is installed, and nobody can answer its questions.
        line = line.replace("uvx copier", "copier").replace("copy --defaults", "copy")
        here = f"--defaults --vcs-ref HEAD {shlex.quote(str(TEMPLATE))}"
        line = line.replace("<url of this repository>", here)
        if line.startswith("cd "):
            self.project /= line.removeprefix("cd ")
        elif line.endswith(("kedro mlflow ui", "kedro mlflow serve")):
            line = f"{self._activate}exec {line}"
            self.address = self._open.enter_context(served(self.project, line))
        else:
            said = succeed(self.project, "sh", "-c", self._activate + line)
            if "curl" in line or "predict" in line:
                self.answers.append(said)
        if line.endswith(activate := ". .venv/bin/activate"):
            self._activate = f"{activate} && "

    def _write(self, block: str) -> None:
        first, _, content = block.partition("\n")
        file = self.project / first.removeprefix("# ")
        file.parent.mkdir(exist_ok=True)
        with file.open("a", encoding="utf-8") as end:
            end.write(f"\n{content}" if end.tell() else content)
