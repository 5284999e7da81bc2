"""The error that a user sees when tracking fails."""

from collections.abc import Iterable
from difflib import get_close_matches

from click import ClickException

from .redaction import without_secrets


class TrackingError(ClickException):
    """An error whose message says where, what was found, and what would be right.

    On the command line Kedro shows the message without a traceback and exits with 1;
    elsewhere it is an ordinary exception. The message never contains a secret.
    """

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question with the most similar known name; empty if none is similar."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""
