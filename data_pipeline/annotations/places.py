"""Where the videos of a person's own footage lie, and what a folder holds instead."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from animal_clip_jax.errors import MissingFileError, quoted, shortened
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.limits import shown

_MOST_NAMES = 5


def what_is_in(folder: Path) -> str:
    """The first names in a folder, for a message such as "/data holds a.csv, videos and 3 more"."""
    try:
        names = sorted(
            shown(entry.name) for entry in os.scandir(folder) if not entry.name.startswith(".")
        )
    except OSError as error:
        return f"{absolute(folder)} cannot be read ({error.strerror or error})"
    if not names:
        return f"{absolute(folder)} is empty"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{absolute(folder)} holds {shortened(', '.join(names[:_MOST_NAMES]))}{more}"


def missing(path: Path, what: str) -> MissingFileError:
    """What to tell a person of a file or folder that is not there: where, and what is beside it."""
    nearest = path
    while not nearest.is_dir() and nearest != nearest.parent:
        nearest = nearest.parent
    return MissingFileError(
        f"{what} {absolute(path)} does not exist; {what_is_in(nearest)}", absolute(path)
    )


def absolute(path: Path) -> Path:
    """The whole path, with its links."""
    return Path(os.path.abspath(path))


class Roots:
    """The folders that the videos of a list may be relative to.

    Args:
        beside: the folder of the list; `videos` in it is one of them too, if it is there.
        others: more of them, on other disks for instance.

    Raises:
        FileNotFoundError: one of the others does not exist.
    """

    def __init__(self, beside: Path, others: Sequence[Path]):
        for root in others:
            if not root.is_dir():
                raise missing(root, "--root: the folder")
        videos = beside / "videos"
        own = [videos, beside] if videos.is_dir() else [beside]
        self.folders = tuple(dict.fromkeys((*own, *others)))
        self._used = dict.fromkeys(others)
        self._located: dict[str, str] = {}

    def used(self) -> tuple[Path, ...]:
        """Those that a video was located in, and all others that a person named."""
        used = tuple(folder for folder in self.folders if folder in self._used)
        return used or self.folders[:1]

    def locate(self, text: str, place: str) -> str:
        """The path of a video, relative to the first of the folders that it lies in.

        Args:
            text: the path as a person wrote it: relative to one of the folders, or absolute.
            place: where, for the message.

        Returns:
            the path, separated by `/`; of a video that is nowhere, relative to the folder that has
            the folder it should be in.

        Raises:
            AnnotationError: it is absolute and in none of the folders, or several have it, or it is
                written with backslashes.
        """
        if text not in self._located:
            self._located[text] = self._locate(text, place)
        return self._located[text]

    def _locate(self, text: str, place: str) -> str:
        if "\\" in text:
            raise AnnotationError(
                f"{place}: the video {quoted(text)} is written with \\; write / between folders"
            )
        pure = PurePosixPath(text)
        if not pure.name or ".." in pure.parts:
            raise AnnotationError(
                f"{place}: the video {quoted(text)} is not a path inside the folder of videos "
                f"({self._listed()})"
            )
        if pure.is_absolute():
            root, name = self._inside(text, place)
        else:
            root, name = self._below(pure, place)
        for other in self.folders:
            if other == root:
                break
            # It would be taken for the other when it is looked for by this name.
            self._check_same(other / name, root / name, place)
        self._used[root] = None
        return name

    def _inside(self, text: str, place: str) -> tuple[Path, str]:
        for real in (os.path.abspath, os.path.realpath):
            path = Path(real(text))
            for folder in self.folders:
                if path.is_relative_to(real(folder)):
                    return folder, path.relative_to(real(folder)).as_posix()
        raise AnnotationError(
            f"{place}: the video {quoted(text)} lies outside {self._listed()}; add "
            f"--root={shortened(os.path.dirname(text))}"
        )

    def _below(self, pure: PurePosixPath, place: str) -> tuple[Path, str]:
        having = [folder for folder in self.folders if os.path.isfile(folder / pure)]
        for other in having[1:]:
            self._check_same(having[0] / pure, other / pure, place)
        if not having:
            having = [folder for folder in self.folders if os.path.isdir(folder / pure.parent)]
        path = (having or self.folders)[0] / pure
        # "videos/a.mp4" beside a list is "a.mp4" in the folder of videos.
        root = next(folder for folder in self.folders if path.is_relative_to(folder))
        return root, path.relative_to(root).as_posix()

    def _check_same(self, path: Path, other: Path, place: str) -> None:
        is_two = os.path.isfile(path) and os.path.isfile(other)
        if is_two and not os.path.samefile(path, other):
            raise AnnotationError(
                f"{place}: two videos go by this name, {shortened(absolute(path))} and "
                f"{shortened(absolute(other))}; rename one, or give its folder another name"
            )

    def _listed(self) -> str:
        return " and ".join(str(absolute(folder)) for folder in self.folders)
