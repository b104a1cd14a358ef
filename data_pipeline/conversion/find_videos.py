"""Where the videos of a dataset's clips lie, and which of those on disk belong to no clip."""

import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from animal_clip_jax.errors import quoted, shortened
from data_pipeline.annotations.record import AnnotationError, Annotations
from data_pipeline.limits import shown
from data_pipeline.video_files import is_folder, leading_out_of, video_files


def find_videos(annotations: Annotations) -> tuple[dict[str, Path], list[str]]:
    """Finds the file, or the folder of frames, of every clip, and those that belong to none.

    A video may have another suffix than its annotation says (re-encoded, for instance). Links are
    followed to places in one of the roots: see `is_there`.

    Raises:
        AnnotationError: several videos differ from an annotation in their suffix alone.

    Returns:
        The path of each clip id, and the other videos, relative to their root. What exists in none
        of the roots is where its folder is, or else in the first.
    """
    on_disk: dict[str, Path] = {}
    leads_out = leading_out_of(annotations.roots)
    for root in reversed(annotations.roots):
        if annotations.are_frames:
            names = _folders_of_frames(root, leads_out)
        else:
            names = video_files(root, leads_out)
        on_disk |= {name.as_posix(): root / name for name in names}
    by_stem: dict[str, list[str]] = {}
    for name in sorted(on_disk):
        by_stem.setdefault(_stem(name), []).append(name)
    found = {}
    for clip in annotations.clips:
        name = clip.path
        if name not in on_disk:
            candidates = by_stem.get(_stem(name), [name])
            if len(candidates) > 1:
                raise AnnotationError(
                    f"{clip.source}: there is no {quoted(name)}, but "
                    f"{shortened(' and '.join(map(shown, candidates)))}; write which is meant"
                )
            name = candidates[0]
        found[clip.clip_id] = on_disk.get(name) or _expected_at(annotations.roots, name)
    others = frozenset(on_disk.values()) - frozenset(found.values())
    if len(annotations.roots) > 1:
        # One of them may be in another, or be reached by a link.
        known = frozenset(map(os.path.realpath, found.values()))
        others = frozenset(path for path in others if os.path.realpath(path) not in known)
    return found, sorted(shown(relative_to_roots(path, annotations.roots)) for path in others)


def is_there(roots: Sequence[Path]) -> Callable[[Path], bool]:
    """A function that tells whether a path of `find_videos` is of something that may be opened:
    it is there, and no link leads out of the roots."""
    leads_out = leading_out_of(roots)
    return lambda path: os.path.exists(path) and not leads_out(path)


def _stem(name: str) -> str:
    # Some disks keep letters and their accents apart.
    return unicodedata.normalize("NFC", PurePosixPath(name).with_suffix("").as_posix())


def _expected_at(roots: Sequence[Path], name: str) -> Path:
    paths = [root / name for root in roots]
    for is_here in (os.path.exists, lambda path: os.path.isdir(path.parent)):
        for path in paths:
            if is_here(path):
                return path
    return paths[0]


def relative_to_roots(path: Path, roots: Sequence[Path]) -> str:
    """A path below one of the folders, relative to it, separated by `/`."""
    root = next(root for root in roots if path.is_relative_to(root))
    return path.relative_to(root).as_posix()


def _folders_of_frames(root: Path, leads_out: Callable[[Path], bool]) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError:
        return  # all clips fail, with the reason
    for entry in entries:
        if is_folder(entry) and not leads_out(root / entry.name):
            yield Path(entry.name)
