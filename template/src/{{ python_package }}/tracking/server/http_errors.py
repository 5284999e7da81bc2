"""Classify MLflow's errors: the server has refused a request, or the server is away."""

import re

_STATUS = re.compile(r"(?:failed with error code|too many) (\d{3})\b")
_PAGE = re.compile(r"Response body: '\s*<(?:!doctype|html|head|body)\b", re.IGNORECASE)

_NO_HOST = re.compile(r"resol|Name or service|nodename")
_CLOSED = re.compile(r"reset by peer|RemoteDisconnected|Connection aborted")
_CUT = re.compile(r"not in a valid JSON|IncompleteRead|Connection broken")

LOGIN_REFUSED = "refuses the login"
PERMISSION_DENIED = "gives no permission to the login"

# Login, login of a proxy, timeout, too many requests: not the fault of the record.
_NOT_OF_THE_RECORD = (401, 403, 407, 408, 429)


def is_refusal(error: BaseException) -> bool:
    """Whether the server, or its client, has understood a record and rejected it.

    Sending it again is useless, but other records may be accepted. Any other error
    (5xx, a failed login, a web page, half an answer, no answer) means that the server
    is away, and the same records may be sent again.

    Args:
        error: what a call of ``MlflowClient`` raised.
    """
    if isinstance(error, TypeError | ValueError | OverflowError):
        return not isinstance(error, OSError)  # errors of requests are OSErrors, too
    status = status_of(error)
    if status is None or not 400 <= status < 500 or status in _NOT_OF_THE_RECORD:
        return False
    # A page with 404 is of a proxy without its server; with 413, of one with a limit.
    return status == 413 or not is_web_page(str(error))


def is_hopeless(error: BaseException) -> bool:
    """Whether sending again what nobody has asked for would only cost time.

    In addition to what is refused, that is a failed login, a missing library, and any
    error that is not one of the network: an artifact store may be closed to this user.
    """
    if is_refusal(error) or isinstance(error, ImportError | PermissionError):
        return True
    answer = getattr(error, "response", None)  # of requests, for an artifact
    status = status_of(error) or getattr(answer, "status_code", None)
    if status is not None:
        return 400 <= status < 500 and status not in (408, 429) or status == 501
    return not (isinstance(error, OSError) or "API request to" in str(error))


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of the answer; None if MLflow could read none."""
    text = str(error)
    if found := _STATUS.search(text):
        return int(found[1])
    status = getattr(error, "get_http_status_code", None)  # an MlflowException
    return None if status is None or "API request to" in text else int(status())


def is_web_page(error: str) -> bool:
    """Whether MLflow got a web page instead of its server's answer."""
    return bool(_PAGE.search(error))


def problem(error: str) -> str:
    """Explain in a few words MLflow's message about a failed request.

    Returns:
        The end of a sentence that begins with "The MLflow server at …".
    """
    found = _STATUS.search(error)
    status = int(found[1]) if found else None
    page = is_web_page(error) and status in (None, 404)
    meanings = {
        LOGIN_REFUSED: status == 401,
        PERMISSION_DENIED: status == 403 or "PERMISSION_DENIED" in error,
        "does not answer: nothing listens there": "refused" in error,
        "does not answer: it closes the connection": _CLOSED.search(error),
        "does not answer: no host has that name": _NO_HOST.search(error),
        "answers with a web page, not as an MLflow server does; is there a login in "
        "front of it?": page,
        f"answers with an error: HTTP status {status}": status,
        "sends only a part of its answer": _CUT.search(error),
    }
    return next((k for k, v in meanings.items() if v), "does not answer in time")
