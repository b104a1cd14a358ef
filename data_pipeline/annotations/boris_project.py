"""The state events of a BORIS project, such as predictions that a person has corrected there.

They are brought into the columns of BORIS's aggregated events, which `boris` reads.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from animal_clip_jax.errors import quoted, shortened
from animal_clip_jax.files import read_json_object
from data_pipeline.annotations.label_files import check_regular
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.limits import MOST_TEXT_BYTES

SUFFIX = ".boris"
# Of projects that predictions were written into, in which the subjects are the animals' labels.
_PREDICTED = "Predicted by animal_clip_jax"
# What BORIS uses for its own purposes, and what stands for it in names.
_REPLACED = str.maketrans({"(": "[", ")": "]", "|": "/", ",": ";", "\\": "/", "`": "'", "~": "-"})


def boris_name(label: str) -> str:
    """The code of a behaviour or the name of a subject, for a label; "" for "".

    `( ) | , \\ `` ` `` ~` become `[ ] / ; / ' -`, several spaces one, and those around it go.
    """
    return " ".join(label.translate(_REPLACED).split())


def is_predicted(project: Mapping[str, Any]) -> bool:
    """Whether a project was written by this program: its subjects are species, not individuals."""
    return str(project.get("project_description", "")).startswith(_PREDICTED)


def read_project(path: Path) -> dict[str, Any]:
    """The content of a project.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: it is no project of BORIS.
    """
    check_regular(path, MOST_TEXT_BYTES)
    project = read_json_object(path)
    for key in ("observations", "behaviors_conf"):
        if not isinstance(project.get(key), dict):
            raise AnnotationError(f"{path} is no project of BORIS: it has no {key!r}")
    return project


def project_events(path: Path, project: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields (place, row) of each state event and each point event, by the names that the columns
    of the aggregated events have.

    Raises:
        AnnotationError: an observation or an event does not have the form that BORIS gives it, a
            state is begun and not ended, or a behaviour is not in the ethogram.
    """
    behaviors = _by_name(path, project, "behaviors_conf", "code")
    subjects = _by_name(path, project, "subjects_conf", "name")
    for name, observation in project["observations"].items():
        place = f"{path}, observation {quoted(name)}"
        try:
            yield from _events_of(place, observation, behaviors, subjects)
        except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
            raise AnnotationError(
                f"{place} does not have the form that BORIS gives it ({type(error).__name__}: "
                f"{shortened(error)})"
            ) from error


def _by_name(
    path: Path, project: Mapping[str, Any], key: str, name: str
) -> dict[str, Mapping[str, Any]]:
    found = project.get(key, {})
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise AnnotationError(f"{path}: {key} is not as BORIS writes it")
    return {str(one.get(name, "")): one for one in found.values()}


def _events_of(
    place: str,
    observation: Mapping[str, Any],
    behaviors: Mapping[str, Mapping[str, Any]],
    subjects: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, dict[str, str]]]:
    media = [str(one) for one in observation.get("file", {}).get("1", [])]
    lengths = observation.get("media_info", {}).get("length", {})
    common = {
        "Observation type": "Media file" if observation["type"] == "MEDIA" else "Live",
        "Source": f"player #1:{';'.join(media)}",
        "Media duration (s)": ";".join(str(lengths.get(one, "")) for one in media),
        "Time offset (s)": str(observation.get("time offset", 0)),
    }
    begun: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for event in sorted(observation["events"], key=lambda event: float(event[0])):
        time, subject, code, modifier = float(event[0]), *map(str, event[1:4])
        if code not in behaviors:
            raise AnnotationError(f"{place}: the behavior {quoted(code)} is not in the ethogram")
        row = {
            **common,
            "Subject": _label(subject, subjects),
            "Behavior": _label(code, behaviors),
            "Modifier": modifier,
        }
        if str(behaviors[code].get("type", "")).casefold().startswith("point"):
            times = {"Start (s)": f"{time:.3f}", "Stop (s)": f"{time:.3f}"}
            yield place, {**row, "Behavior type": "POINT", **times}
            continue
        open_since = begun[subject, code, modifier]
        if not open_since:
            open_since.append(time)
            continue
        times = {"Start (s)": f"{open_since.pop():.3f}", "Stop (s)": f"{time:.3f}"}
        yield place, {**row, "Behavior type": "STATE", **times}
    for (subject, code, _), since in begun.items():
        if since:
            who = f" of {quoted(subject)}" if subject else ""
            raise AnnotationError(
                f"{place}: {quoted(code)}{who} begins at {since[0]:g} s and does not end; end it "
                "in BORIS (Tools, Check state events)"
            )


def _label(name: str, known: Mapping[str, Mapping[str, Any]]) -> str:
    """The label that a name stands for: this program's own, which BORIS could not take as it was,
    is the description."""
    description = str(known.get(name, {}).get("description", ""))
    return description if description and boris_name(description) == name else name
