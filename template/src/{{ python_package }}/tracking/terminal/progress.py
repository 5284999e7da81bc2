"""Show a spinner on a terminal while something takes long."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import parent_process


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show what is under way, but not in a file, in CI, or beside another display.

    Args:
        text: what is under way, for people.
    """
    with ExitStack() as stack:
        if _is_ours():
            from rich import get_console
            from rich.errors import LiveError

            console = get_console()
            # With FORCE_COLOR, rich calls a file interactive, too.
            if console.is_interactive and console.file.isatty():
                with suppress(LiveError):  # a node shows a display of its own
                    stack.enter_context(console.status(text))
        yield


def _is_ours() -> bool:
    """Whether this is the main thread of the main process, outside of CI."""
    return (
        "CI" not in os.environ
        and parent_process() is None
        and threading.current_thread() is threading.main_thread()
    )
