"""Drop useless log messages of other libraries, and hide secrets in all messages."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from ..redaction import shows_secret, without_secrets


@contextmanager
def only(logger: str, is_wanted: Callable[[logging.LogRecord], bool]) -> Iterator[None]:
    """Drop the log records of a logger that are not wanted, inside the block."""
    source = logging.getLogger(logger)
    source.addFilter(is_wanted)
    try:
        yield
    finally:
        source.removeFilter(is_wanted)


def without(logger: str, beginning: str) -> AbstractContextManager[None]:
    """Drop the messages of a logger that begin with these words, inside the block."""
    return only(logger, lambda record: not record.getMessage().startswith(beginning))


@contextmanager
def without_secrets_in_logs() -> Iterator[None]:
    """Hide secrets in the messages of all loggers and handlers, inside the block.

    This sets a record factory, since handlers come and go: MLflow adds its own on
    import.
    """
    factory = _RecordFactory(logging.getLogRecordFactory())
    logging.setLogRecordFactory(factory)
    try:
        yield
    finally:
        factory.is_active = False
        while isinstance(top := logging.getLogRecordFactory(), _RecordFactory):
            if top.is_active:  # of another run, which is still open
                break
            logging.setLogRecordFactory(top.previous)


class _RecordFactory:
    def __init__(self, previous: Any) -> None:
        self.previous = previous
        self.is_active = True

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self.previous(*args, **kwargs)
        if self.is_active:
            _hide_secrets(record)
        return record


def _hide_secrets(record: logging.LogRecord) -> None:
    try:
        text = record.getMessage()
    except (TypeError, ValueError):  # its handler reports it
        return
    if (clean := without_secrets(text)) != text:
        record.msg, record.args = clean, None
    if record.exc_info and shows_secret(record.exc_info[1]):
        traceback = logging.Formatter().formatException(record.exc_info)
        record.exc_text, record.exc_info = without_secrets(traceback), None
