"""Kill this process (kill -9) before its nth change of a file in an outbox.

Python imports this when its folder is in ``PYTHONPATH``. ``CRASH_AT`` is n, from 1; the
changes are appended to the file ``CRASH_LOG``. Only those that match ``CRASH_MATCH`` count.
"""

import os
import re
import signal
import sys

_EVENTS = ("open", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link")
_at, _log = int(os.environ["CRASH_AT"]), os.environ["CRASH_LOG"]
_match = re.compile(os.environ.get("CRASH_MATCH", ""))
_count = 0


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    global _count  # noqa: PLW0603
    if event not in _EVENTS:
        return
    path, *others = (str(each) for each in arguments)
    if event == "open" and not (
        others[0] in ("None", "wb", "w", "a", "x")
        and int(others[1]) & (os.O_WRONLY | os.O_RDWR)
    ):
        return
    is_in_a_deleted_folder = event in ("os.remove", "os.rmdir") and others[0] != "-1"
    if "mlruns/outbox" not in path and not is_in_a_deleted_folder:
        return
    if not _match.search(f"{event} {path}"):
        return
    _count += 1
    line = f"{_count} {event} {path}\n"
    descriptor = os.open(_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)
    if _count == _at:
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(_watch)
