"""How a page names a file on the disk."""

import os
from urllib.parse import quote


def address_of(path: str, folder: str | os.PathLike[str]) -> str:
    """The address of a file, for a page in a folder.

    It is relative where both have a folder in common that is not the root of all, so that they may
    be moved or sent together; else a `file:` URI.

    Args:
        path: whole; may be of any bytes, as those of the system.
        folder: of the page.

    Returns:
        in ASCII; "" of a path that cannot be one of this system.
    """
    target, here = os.path.abspath(path), os.path.abspath(folder)
    is_far = os.path.dirname(common := os.path.commonpath([target, here])) == common
    try:
        encoded = os.fsencode(target if is_far else os.path.relpath(target, here))
    except UnicodeEncodeError:
        return ""
    return ("file://" if is_far else "") + quote(encoded)
