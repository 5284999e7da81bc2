"""Lines of other libraries that tell the user nothing."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(logger: str, beginning: str) -> Iterator[None]:
    """Leave out what a logger says with these first words, and nothing else of it."""

    def is_wanted(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(beginning)

    source = logging.getLogger(logger)
    source.addFilter(is_wanted)
    try:
        yield
    finally:
        source.removeFilter(is_wanted)
