"""The operating system's locks on files, which end with the process that holds them."""

import errno
import os

try:
    import fcntl
except ImportError:  # there is none on Windows
    fcntl = None  # type: ignore[assignment]

_CANNOT_LOCK = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


def lock_file(descriptor: int) -> bool | None:
    """Locks an open file until it is closed, by whatever process has it open.

    Returns:
        whether it was free; None where files cannot be locked, as on some network disks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _CANNOT_LOCK:
            return None
        raise
    return True


def can_lock() -> bool:
    """Whether this system can lock files at all; a disk of it may still not."""
    return fcntl is not None


def is_same_file(path: str | os.PathLike[str], descriptor: int) -> bool:
    """Whether an open file still is the one at a local path."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
