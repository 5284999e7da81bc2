"""Stop a commit of bytes that an update would drop."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from . import say


def main(words: Sequence[str] | None = None) -> int:
    """Name each file that is not in UTF-8, among those that an update merges.

    copier reads git's output as UTF-8 and drops every other byte without a word.
    """
    parser = ArgumentParser("utf8-files", description=__doc__)
    parser.add_argument("files", nargs="*")
    found = [name for name in parser.parse_args(words).files if not _is_utf8(name)]
    for name in found:
        say(
            f"{name}: is not in UTF-8, and an update would drop the bytes that are not. "
            f"Save it as UTF-8, for example: iconv -f latin1 -t utf-8 -o {name}.new {name}"
        )
    return 1 if found else 0


def _is_utf8(name: str) -> bool:
    try:
        Path(name).read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
