"""Which files in a folder, and in those below it, are videos."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    (".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg")
    + (".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv")
)


def leading_out_of(roots: Sequence[Path]) -> Callable[[Path], bool]:
    """A function that tells whether a path leads out of all these folders, by links in it.

    Data of others may have links to anything. What a person wants to be followed is named as one
    of the folders.
    """
    real_roots = tuple(os.path.realpath(root) for root in roots)
    with_ends = tuple(os.path.join(root, "") for root in real_roots)

    def leads_out(path: Path) -> bool:
        real = os.path.realpath(path)
        return real not in real_roots and not real.startswith(with_ends)

    return leads_out


def video_files(root: Path, leads_out: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """The videos in a folder and in those below it, by their suffix, relative to it.

    Each folder is looked through once, under its own name if it lies in the folder: so a circle of
    links comes to an end. What is hidden is passed over, and a folder that cannot be read.

    Args:
        root: the folder.
        leads_out: whether a link is not followed; None follows those to places in the folder.
    """
    for path in files_below(root, leads_out or leading_out_of([root])):
        if path.suffix.lower() in VIDEO_SUFFIXES:
            yield path


def files_below(
    root: Path, leads_out: Callable[[Path], bool], outside: list[Path] | None = None
) -> Iterator[Path]:
    """All files, as `video_files`; links that are not followed are added to `outside`."""
    seen: set[tuple[int, int]] = set()
    waiting: deque[Path] = deque([Path()])
    links: deque[Path] = deque()
    while waiting or links:
        folder = waiting.popleft() if waiting else links.popleft()
        try:
            status = (root / folder).stat()
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink() and leads_out(root / folder / entry.name):
                if outside is not None:
                    outside.append(folder / entry.name)
                continue
            if not is_folder(entry):
                yield folder / entry.name
            elif entry.is_symlink():
                links.append(folder / entry.name)
            else:
                waiting.append(folder / entry.name)


def is_folder(entry: os.DirEntry) -> bool:
    """Whether an entry of a folder is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself, for instance
