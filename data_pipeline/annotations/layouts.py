"""Where the files of a distribution lie, below the folder that a person has unpacked.

Names are compared without regard to case: disks differ in that, and so do the pages that data sets
are downloaded from.
"""

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from animal_clip_jax.errors import MissingFileError

_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip", ".7z", ".rar")


@dataclass(frozen=True)
class Sought:
    """A file or folder of a distribution that is looked for.

    Attributes:
        what: it is, such as "workbook".
        names: that it may have.
        folders: where it may be.
        found: where it is; None if it is nowhere.
        is_needed: whether there is no conversion without it.
    """

    what: str
    names: tuple[str, ...]
    folders: tuple[Path, ...]
    found: Path | None
    is_needed: bool = False


@dataclass(frozen=True)
class Videos:
    """The folder of a distribution's videos.

    Attributes:
        folder: that holds them; where there is none, the one that was expected.
        are_frames: whether it holds a folder of pictures for each video.
        problem: what to tell a person if there is none; "" otherwise.
        notes: on the choice, where there was one.
    """

    folder: Path
    are_frames: bool = False
    problem: str = ""
    notes: tuple[str, ...] = field(default=())


def check_source(source: Path) -> None:
    """Checks that the folder that a person has named is one.

    Raises:
        FileNotFoundError: it is not.
    """
    if not source.is_dir():
        raise MissingFileError(f"the source folder {source} does not exist", source)


def entry(folder: Path, relative: str) -> Path | None:
    """A file or folder by its path below another, without regard to case.

    Args:
        folder: may not exist.
        relative: separated by `/`; "." is the folder itself.

    Returns:
        Its path as it is on the disk, the exact name first; None if there is none.
    """
    path = folder
    for part in PurePosixPath(relative).parts:
        if not (path / part).exists():
            part = _names(path).get(part.casefold(), "")
            if not part:
                return None
        path = path / part
    return path if path.exists() else None


def folders_below(bases: Iterable[Path], names: Sequence[str]) -> tuple[Path, ...]:
    """The folders of these names below each of the bases, as far as they exist, each once."""
    found = (entry(base, name) for base in bases for name in names)
    return tuple(dict.fromkeys(path for path in found if path is not None and path.is_dir()))


def find(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first of `names` that is a file in one of `folders`; None if there is none."""
    for folder in folders:
        on_disk = None
        for name in names:
            path = folder / name
            if not path.is_file():
                on_disk = _names(folder) if on_disk is None else on_disk
                path = folder / on_disk.get(name.casefold(), name)
            if path.is_file():
                return path
    return None


def sought(
    what: str, names: Sequence[str], folders: Sequence[Path], *, is_needed: bool = False
) -> Sought:
    """Looks for a file; see `find`."""
    return Sought(what, tuple(names), tuple(folders), find(folders, names), is_needed)


def folder_of_videos(
    paths: Iterable[str],
    bases: Sequence[Path],
    names: Sequence[str],
    *,
    frame_names: Sequence[str] = (),
    look_everywhere: bool = False,
) -> Videos:
    """The folder that holds videos, or else folders of frames, of the clips.

    Args:
        paths: of the clips' videos, relative to the folder that is looked for.
        bases: folders that it may lie in.
        names: that it may have there, the likeliest first. Videos may also lie in a base itself,
            and in a folder of the same name in it, as unpacked archives do.
        frame_names: the same of folders of frames.
        look_everywhere: whether it may be any folder of the bases.
    """
    first = [PurePosixPath(path).parts for path in paths]
    # What lies in the folder itself: videos, and folders of them.
    files = {_stem(parts[0]) for parts in first if len(parts) == 1}
    folders = {_stem(parts[0]) for parts in first if len(parts) > 1}
    named = folders_below(bases, [*names, *(f"{name}/{Path(name).name}" for name in names)])
    others = tuple(dict.fromkeys(bases))
    if look_everywhere:
        others += tuple(dict.fromkeys(folder for base in bases for folder in _subfolders(base)))
    folder = _fullest([*named, *others], files, folders)
    of_frames = _fullest(folders_below(bases, frame_names), frozenset(), files | folders)
    if folder:
        note = f"videos are read from {folder}, not the frames in {of_frames}"
        return Videos(folder, notes=(note,) if of_frames else ())
    if of_frames:
        note = f"there are no videos; folders of frames are read from {of_frames}"
        return Videos(of_frames, are_frames=True, notes=(note,))
    problem = _no_videos([*names, *frame_names], bases, named, "/".join(first[0]) if first else "")
    expected = [base / name for base in bases for name in names]
    # Of those, the one whose folder is there: such as dataset/video, if there is a dataset.
    likely = [path for path in expected if path.parent.is_dir() and path.parent not in bases]
    return Videos([*named, *likely, *expected][0], problem=problem)


def checked_notes(videos: Videos, *, may_be_missing: bool) -> tuple[str, ...]:
    """What to tell a person of the folder of videos.

    Args:
        videos: as found.
        may_be_missing: whether that there is no folder at all is a note, too.

    Raises:
        FileNotFoundError: there is no folder, and must be.
    """
    if not videos.problem:
        return videos.notes
    if not may_be_missing and not videos.folder.is_dir():
        raise MissingFileError(videos.problem)
    return (*videos.notes, videos.problem)


def _no_videos(
    names: Sequence[str], bases: Sequence[Path], empty: Sequence[Path], example: str
) -> str:
    where = " or ".join(map(str, bases))
    message = f"no video of the clips: there is no folder {', '.join(names)} in {where}"
    if empty:
        message = f"no video of the clips, such as {example}, is in {' or '.join(map(str, empty))}"
    for base in bases:
        for name in names:
            for suffix in _ARCHIVES:
                archive = entry(base, name + suffix)
                if archive is not None:
                    return f"{message}; unpack {archive} first"
    return message


def _fullest(
    candidates: Sequence[Path], files: Collection[str], folders: Collection[str]
) -> Path | None:
    """The folder that holds most of these files and folders, named without suffixes in lower case;
    the first of several, None if none holds any."""
    best, most = None, 0
    for candidate in candidates:
        held = 0
        for name in _names(candidate).values():
            stem = _stem(name)
            if stem in files or stem in folders:
                held += stem in (folders if (candidate / name).is_dir() else files)
        if held > most:
            best, most = candidate, held
    return best


def _stem(name: str) -> str:
    return os.path.splitext(name)[0].casefold()


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _names(folder: Path) -> dict[str, str]:
    """The names in a folder by themselves in lower case; of several such, the first in order."""
    try:
        return {name.casefold(): name for name in sorted(os.listdir(folder), reverse=True)}
    except OSError:
        return {}  # what is looked for in it is not found, which is what is then said
