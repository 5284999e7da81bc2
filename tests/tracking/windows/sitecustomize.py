"""Take away from each process of a test what Windows lacks.

Python imports this module when it starts, if its folder is in PYTHONPATH.
"""

import multiprocessing
import os
import signal
import sys
import warnings
from typing import Any

for name in ("grp", "pwd", "resource", "termios"):
    sys.modules[name] = None  # type: ignore[assignment]  # an import fails
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2"):
    delattr(signal, name)
for name in ("fork", "forkpty", "getpgid", "getuid", "geteuid", "killpg"):
    delattr(os, name)


def refuse(*_: Any, **__: Any) -> None:
    raise OSError("links are not allowed here")


os.link = os.symlink = refuse

# A file that is opened without an encoding would be read as cp1252 there.
warnings.filterwarnings("error", category=EncodingWarning, module=r"tracked(\.|$)")

if multiprocessing.current_process().name == "MainProcess":
    multiprocessing.set_start_method("spawn", force=True)
