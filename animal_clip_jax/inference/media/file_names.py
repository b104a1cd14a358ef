"""Names of files and folders made of names of videos and labels, on whatever disk they are put."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from data_pipeline.annotations.clips_csv import SPLIT_WORDS
from data_pipeline.names import CONTROL_CHARACTER

# What disks of one kind or another refuse in a name; and a name's most bytes, with room for what
# is put before and behind it while the file is written.
_REFUSED = re.compile(r'[<>:"/\\|?*]')
_MOST_BYTES = 160


def safe_name(text: str) -> str:
    """A text as a name of a file or folder: one that is not hidden, and that every disk takes."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    name = _REFUSED.sub("_", CONTROL_CHARACTER.sub("_", text)).strip().rstrip(".")
    if not name or name.startswith("."):
        name = f"_{name}"
    content = name.encode()
    if len(content) <= _MOST_BYTES:
        return name
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{content[: _MOST_BYTES - 9].decode(errors='ignore').rstrip()}-{digest}"


def video_names(names: Iterable[str], ending: str) -> dict[str, str]:
    """A path for a file of each video, below a folder; no two are the same, in upper or lower case.

    It is the name of the video with another ending; that ending comes behind the whole name where
    videos differ in nothing but their endings.

    Args:
        names: of the videos, separated by `/`.
        ending: of the files, such as ".mp4".
    """
    names = list(names)
    short = {name: _without_ending(name) for name in names}
    alike = Counter(stem.casefold() for stem in short.values())
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = name if alike[short[name].casefold()] > 1 else short[name]
        inside = [part for part in stem.split("/") if part not in ("", ".", "..")]
        parts = [safe_name(part) for part in inside]
        found[name] = untaken("/".join(parts) or "_", ending, taken)
    return found


def _without_ending(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.name else name


def folder_names(labels: Iterable[str]) -> dict[str, str]:
    """A name for a folder of each label; no two are the same, in upper or lower case, and none is
    that of a split, which readers of such folders would take it for."""
    found: dict[str, str] = {}
    taken = set(SPLIT_WORDS)
    for label in labels:
        found[label] = untaken(safe_name(label), "", taken)
    return found


def untaken(stem: str, ending: str, taken: set[str]) -> str:
    """A name that is not taken yet, nor in another case: with a number behind it if need be.

    Args:
        stem, ending: of the name.
        taken: names in lower case; the new one is added.
    """
    name, number = f"{stem}{ending}", 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem} ({number}){ending}"
    taken.add(name.casefold())
    return name
