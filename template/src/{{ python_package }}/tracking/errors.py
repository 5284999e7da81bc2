"""What the user is told when tracking cannot go on."""

from click import ClickException


class TrackingError(ClickException):
    """A sentence for the user: where, what was found, what would be right.

    On the command line Kedro shows the sentence without a traceback and exits with 1;
    elsewhere it is an exception like any other.
    """
