"""A sign of life on a terminal, where something takes long."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import parent_process


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show what is under way; nothing in a file, in CI, or beside another display.

    Args:
        text: what is under way, for people.
    """
    with ExitStack() as stack:
        if _is_ours():
            from rich import get_console
            from rich.errors import LiveError

            console = get_console()
            if console.is_interactive and console.file.isatty():  # FORCE_COLOR is none
                with suppress(LiveError):  # a node shows a display of its own
                    stack.enter_context(console.status(text))
        yield


def _is_ours() -> bool:
    """Whether nobody else writes to the terminal: no worker process, no other thread."""
    return (
        "CI" not in os.environ
        and parent_process() is None
        and threading.current_thread() is threading.main_thread()
    )
