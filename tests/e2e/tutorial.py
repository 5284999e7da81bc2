"""A reader of docs/tutorial.md, who types what it says."""

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.conftest import TEMPLATE
from tests.e2e.newcomer import served, succeed

PAGE = TEMPLATE / "docs" / "tutorial.md"


class Reader:
    """Follows the page, block by block, in a folder.

    A block of ``sh`` is typed line by line. Any other is added to the end of the file
    that its first line names.

    Attributes:
        project: where the reader is.
        address: of MLflow's pages, once the reader has opened them.
    """

    def __init__(self, folder: Path) -> None:
        self.project = folder
        self.address = ""
        self._open = ExitStack()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def follow(self) -> Iterator[str]:
        """Do what each block says, and give its text when it is done."""
        text = PAGE.read_text("utf-8")
        for language, block in re.findall(r"```(\w+)\n(.*?)```", text, re.S):
            if language == "sh":
                for line in block.splitlines():
                    self._type(line)
            else:
                self._write(block)
            yield block

    def _type(self, line: str) -> None:
        line = line.replace("uvx copier", "copier")  # which is installed
        here = f"--vcs-ref HEAD {shlex.quote(str(TEMPLATE))}"
        line = line.replace("<url of this repository>", here)
        if line.startswith("cd "):
            self.project /= line.removeprefix("cd ")
        elif line.endswith("kedro mlflow ui"):
            self.address = self._open.enter_context(served(self.project, line))
        else:
            succeed(self.project, "sh", "-c", line)

    def _write(self, block: str) -> None:
        first, _, content = block.partition("\n")
        file = self.project / first.removeprefix("# ")
        file.parent.mkdir(exist_ok=True)
        with file.open("a", encoding="utf-8") as end:
            end.write(f"\n{content}" if end.tell() else content)
