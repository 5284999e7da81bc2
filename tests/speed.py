"""What costs a little in one command, and much in a thousand tests, is left out.

Dynaconf, which reads Kedro's settings, looks for the module of each frame of the stack,
which is deep in a test, among all modules, which are many; it uses the file names alone.
"""

import sys
from types import FrameType, SimpleNamespace

from dynaconf.loaders import py_loader
from dynaconf.utils import files

from fleet import copier_speed


def stack() -> list[SimpleNamespace]:
    """Return the callers' file names, as ``inspect.stack`` does."""
    found = []
    frame: FrameType | None = sys._getframe(1)
    while frame:
        found.append(SimpleNamespace(filename=frame.f_code.co_filename))
        frame = frame.f_back
    return found


def install() -> None:
    """Let copier, Jinja and dynaconf use it in this process."""
    copier_speed.install()
    for module in (files, py_loader):
        module.inspect = SimpleNamespace(stack=stack)
