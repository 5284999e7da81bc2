"""Keep a copy of a file as it is now, for an upload in the background."""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

_FICLONE = 0x40049409  # of linux/fs.h: share the blocks until one of both is changed


def keep(source: Path, target: Path) -> None:
    """Copy a file in the cheapest way that later changes of the source cannot reach.

    That is a clone on file systems that have it (Btrfs, XFS), and a copy elsewhere. A
    hard link would be the same file, which a later node may open and change.

    Args:
        source: the file.
        target: the copy, in a folder that exists.

    Raises:
        OSError: the source cannot be read, or the disk is full.
    """
    try:
        if not _is_cloned(source, target):
            shutil.copyfile(source, target)
        target.chmod(0o600)
    except OSError:
        target.unlink(missing_ok=True)
        raise


def _is_cloned(source: Path, target: Path) -> bool:
    if sys.platform != "linux":
        return False
    from fcntl import ioctl

    with source.open("rb") as original, target.open("wb") as clone, suppress(OSError):
        ioctl(clone.fileno(), _FICLONE, original.fileno())
        return True
    return False
