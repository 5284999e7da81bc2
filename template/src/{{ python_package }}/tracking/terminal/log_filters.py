"""Lines of other libraries that tell the user nothing."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager


@contextmanager
def only(logger: str, is_wanted: Callable[[logging.LogRecord], bool]) -> Iterator[None]:
    """Let a logger say for a while only what is wanted."""
    source = logging.getLogger(logger)
    source.addFilter(is_wanted)
    try:
        yield
    finally:
        source.removeFilter(is_wanted)


def without(logger: str, beginning: str) -> AbstractContextManager[None]:
    """Leave out what a logger says with these first words, and nothing else of it."""
    return only(logger, lambda record: not record.getMessage().startswith(beginning))
