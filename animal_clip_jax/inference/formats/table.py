"""The formats by their names, and writing several."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from etils import epath

from animal_clip_jax.command_line import did_you_mean
from animal_clip_jax.errors import UserError, quoted
from animal_clip_jax.inference.formats import (
    boris,
    boris_binary,
    boris_events,
    bouts,
    camtrap_dp,
    label_studio,
    megadetector,
    time_budget,
    webvtt,
    zamba,
)
from animal_clip_jax.inference.formats.boris_names import name_problems
from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.outputs import output_names
from animal_clip_jax.inference.formats.timeline import readable
from animal_clip_jax.inference.results import Header, Results

Writer = Callable[[Results, epath.Path, FormatOptions], list[epath.Path]]

FORMATS: dict[str, Writer] = {
    "bouts": bouts.write,
    "boris": boris.write,
    "boris_events": boris_events.write,
    "boris_binary": boris_binary.write,
    "camtrap_dp": camtrap_dp.write,
    "megadetector": megadetector.write,
    "zamba": zamba.write,
    "webvtt": webvtt.write,
    "label_studio": label_studio.write,
    "time_budget": time_budget.write,
}
_WITH_BORIS_NAMES = ("boris_events", "boris_binary")
_FILE_A_VIDEO = {"boris_binary": boris_binary.ENDING, "webvtt": webvtt.ENDING}
_SHOWN = 20
_LONGEST_COMPARED = 100


def write_formats(
    results: Results, names: Iterable[str], folder: epath.Path, options: FormatOptions
) -> dict[str, list[epath.Path]]:
    """Writes results in several formats, after it made sure that all of them can be written.

    Args:
        results: of any number of videos; they are read once for each format.
        names: of formats, keys of `FORMATS`.
        folder: for the files; made if it is not there. Files of a former call are replaced.
        options: for all formats.

    Returns:
        name of the format -> the files written.

    Raises:
        UserError: a name is not known, options contradict each other or the results; all that was
            found, before anything is written. Or a file cannot be written.
    """
    names = list(dict.fromkeys(names))
    check_formats(results.header, _videos(results), names, folder, options)
    folder.mkdir(parents=True, exist_ok=True)
    return {name: FORMATS[name](results, folder, options) for name in names}


def check_formats(
    header: Header,
    videos: Sequence[tuple[str, str]],
    names: Sequence[str],
    folder: epath.Path,
    options: FormatOptions,
) -> None:
    """Makes sure that results can be written in some formats; they need not be there yet.

    Args:
        header: of the results.
        videos: name and path of each.
        names: of formats, known or not.
        folder: for the files; need not be there.
        options: for all formats.

    Raises:
        UserError: as `write_formats`.
    """
    videos = [(readable(name), readable(path)) for name, path in videos]
    found = _problems(header, videos, names, folder, options)
    if found:
        shown = [*found[:_SHOWN], *[f"and {len(found) - _SHOWN} more"] * (len(found) > _SHOWN)]
        several = f"{len(found)} problems with the formats: " if len(found) > 1 else ""
        raise UserError(several + "; ".join(shown))


def left_out(
    results: Results, names: Sequence[str], options: FormatOptions
) -> list[tuple[str, str]]:
    """The videos that a format cannot have, and why."""
    if "camtrap_dp" not in names:
        return []
    return camtrap_dp.without_deployment(_videos(results), options)


def _videos(results: Results) -> list[tuple[str, str]]:
    return [(readable(result.name), readable(result.path)) for result in results]


def _problems(
    header: Header,
    videos: Sequence[tuple[str, str]],
    names: Sequence[str],
    folder: epath.Path,
    options: FormatOptions,
) -> list[str]:
    found = [_unknown(name) for name in names if name not in FORMATS]
    found += options.problems()
    if "boris" in names:
        found += boris.problems(header, folder)
    elif any(name in _WITH_BORIS_NAMES for name in names):
        found += name_problems(header)
    video_names = [name for name, _ in videos]
    found += _alike(video_names, str.strip, "name")
    endings = [ending for name, ending in _FILE_A_VIDEO.items() if name in names]
    if endings:
        outside = [name for name in video_names if _is_outside(name)]
        found += [
            f"the video {quoted(name)} would have its file outside the folder" for name in outside
        ]
        if not outside:
            files = output_names(video_names, endings[0])
            found += _alike(video_names, files.__getitem__, "file")
    if "camtrap_dp" in names:
        found += camtrap_dp.problems(header, videos, options)
    return found


def _unknown(name: str) -> str:
    offered = did_you_mean(name, FORMATS) if len(name) <= _LONGEST_COMPARED else ""
    return f"there is no format {quoted(name)}{offered}; expected some of {', '.join(FORMATS)}"


def _alike(names: Sequence[str], made_of: Callable[[str], str], what: str) -> Iterator[str]:
    """Videos whose outputs would be one."""
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        other = first.setdefault(made_of(name), number)
        if other != number:
            yield (
                f"the videos {quoted(names[other])} and {quoted(name)} would have one {what}, "
                f"{quoted(made_of(name))}; rename one, or predict them into two folders"
            )


def _is_outside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.name or path.is_absolute() or ".." in path.parts
