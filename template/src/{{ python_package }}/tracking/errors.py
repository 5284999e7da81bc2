"""What the user is told when tracking cannot go on."""

from collections.abc import Iterable
from difflib import get_close_matches

from click import ClickException

from .redaction import without_secrets


class TrackingError(ClickException):
    """A sentence for the user: where, what was found, what would be right.

    On the command line Kedro shows the sentence without a traceback and exits with 1;
    elsewhere it is an exception like any other. Its message never holds a secret.
    """

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Give a question with the known name that is nearest, or nothing if none is near."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""
