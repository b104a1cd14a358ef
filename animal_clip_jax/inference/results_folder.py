"""The folder of results while it is written: by one process, or by several at once in parts.

`results.jsonl` has the settings and the results in order. Several processes write into `parts/`,
each into a file of its own, lines as those of `results.jsonl`; once all are there, they are
gathered into it in the order of the videos. So a folder that any number of processes have begun can
be finished by any other number.
"""

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence, Set

from etils import epath

from animal_clip_jax.errors import UserError, quoted
from animal_clip_jax.files import write_whole
from animal_clip_jax.inference.results import (
    RESULTS_FILE,
    Header,
    Results,
    header_line,
    name_in_line,
    results_in,
)

PARTS_FOLDER = "parts"


def begin(folder: epath.Path, header: Header, existing: str) -> None:
    """Makes the file of results ready to be written to, by the only writer of the folder.

    Args:
        folder: of the results.
        header: of the request.
        existing: of results that are there: "skip" keeps them, "overwrite" begins anew, and "error"
            refuses.

    Raises:
        UserError: there are those of another request, or any and that is an error.
    """
    path = folder / RESULTS_FILE
    if not path.exists() or existing == "overwrite":
        _remove_parts(folder)
        write_whole(path, header_line(header))
        return
    if existing == "error":
        raise UserError(f"{path} is there already; --existing=skip goes on, =overwrite begins anew")
    check_same_request(folder, header)
    cut_half_a_line(path)


def check_same_request(folder: epath.Path, header: Header) -> None:
    """Makes sure that the results in a folder are those of a request.

    Raises:
        UserError: they are of another one.
    """
    path = folder / RESULTS_FILE
    found = Results.open(path).header
    for field in dataclasses.fields(header):
        before, now = getattr(found, field.name), getattr(header, field.name)
        if field.name not in ("made", "software", "model") and before != now:
            what, before, now = _difference(field.name, before, now)
            raise UserError(
                f"{path} has results of another request: its {what} is {quoted(before)}, now it is "
                f"{quoted(now)}; choose another --output, or --existing=overwrite"
            )


def _difference(name: str, before: object, now: object) -> tuple[str, object, object]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}, key=lambda key: (isinstance(now.get(key), dict), key)):
            if before.get(key) != now.get(key):
                return key, before.get(key), now.get(key)
    return name, before, now


def cut_half_a_line(path: epath.Path) -> None:
    """Removes what a killed process wrote of a line at the end of a file."""
    with open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        while size:
            start = max(size - (1 << 20), 0)
            file.seek(start)
            end = file.read(size - start).rfind(b"\n")
            if end >= 0:
                file.truncate(start + end + 1)
                return
            size = start
        file.truncate(0)


def has_parts(folder: epath.Path) -> bool:
    """Whether several processes have written results that are not gathered yet."""
    return bool(_parts(folder))


def appended_part(folder: epath.Path, name: str) -> epath.Path:
    """The part of a process that writes line after line, ready for the next; its only writer."""
    path = folder / PARTS_FOLDER / f"{name}.jsonl"
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        cut_half_a_line(path)
    return path


def write_part(folder: epath.Path, names: Sequence[str], lines: Iterable[str]) -> None:
    """Writes the results of some videos as a part, whole or not at all; again, it is the same."""
    content = "".join(lines)
    digest = hashlib.sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()
    path = folder / PARTS_FOLDER / f"group-{digest[:32]}.jsonl"
    path.parent.mkdir(exist_ok=True)
    write_whole(path, content)


def names_done(folder: epath.Path) -> set[str]:
    """The videos that have a result, gathered or in a part."""
    path = folder / RESULTS_FILE
    return {name for name, _, _ in _lines(path, skip=1)} | {
        name for part in _parts(folder) for name, _, _ in _lines(part)
    }


def failures(folder: epath.Path, names: Set[str]) -> tuple[str, ...]:
    """Those of the videos that have a problem, in the order in which they were written."""
    return tuple(
        result.name
        for path, skip in [(folder / RESULTS_FILE, 1), *((part, 0) for part in _parts(folder))]
        for result in results_in(path, skip=skip)
        if result.problem and result.name in names
    )


def gather(folder: epath.Path, names: Sequence[str]) -> None:
    """Appends the parts' results to `results.jsonl`, each video once; then removes the parts.

    Stopped, it goes on when it is called again. Only for the one writer of the folder and of all
    parts.

    Args:
        folder: of the results, which `begin` has been called for.
        names: of videos, in the order in which their results are appended. Others in the parts
            follow them.
    """
    path = folder / RESULTS_FILE
    done = {name for name, _, _ in _lines(path, skip=1)}
    places: dict[str, tuple[epath.Path, int, int]] = {}
    for part in _parts(folder):
        for name, offset, length in _lines(part):
            if name not in done:
                places.setdefault(name, (part, offset, length))
    order = dict.fromkeys([*(name for name in names if name in places), *sorted(places)])
    with open(path, "ab") as file:
        for name in order:
            part, offset, length = places[name]
            with open(part, "rb") as source:
                source.seek(offset)
                file.write(source.read(length))
        file.flush()
        os.fsync(file.fileno())
    _remove_parts(folder)


def _parts(folder: epath.Path) -> list[epath.Path]:
    return sorted((folder / PARTS_FOLDER).glob("*.jsonl"))


def _remove_parts(folder: epath.Path) -> None:
    if (folder / PARTS_FOLDER).is_dir():
        shutil.rmtree(folder / PARTS_FOLDER)


def _lines(path: epath.Path, *, skip: int = 0) -> Iterator[tuple[str, int, int]]:
    """The name of each whole line, and where the line begins and how long it is, in bytes."""
    offset = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if number > skip and line.endswith(b"\n"):
                yield name_in_line(line.decode(), f"{path}, line {number}"), offset, len(line)
            offset += len(line)
