"""A project of BORIS, which opens there: to look at the bouts on the video, and correct them.

In the form of projects of BORIS 9 (`project_format_version` 7.0). Every bout is a state event.
"""

import itertools
import string

from etils import epath

from animal_clip_jax.files import is_file
from animal_clip_jax.inference.formats.boris_names import boris_name, name_problems
from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.outputs import as_json, whole_text, write_entries
from animal_clip_jax.inference.formats.timeline import (
    frame_rate_of,
    length_of,
    readable,
    videos_of,
    written_bouts,
)
from animal_clip_jax.inference.results import Bout, Header, Results, VideoResult

FILE = "predictions.boris"
_KEYS = string.ascii_lowercase + string.digits
_PLAYERS = range(1, 9)
# Our first line ends with it; other programs write all on one line, or more on each of several.
_OBSERVATIONS = ', "observations": {\n'
_LONGEST_FIRST_LINE = 2**20


def problems(header: Header, folder: epath.Path) -> list[str]:
    """What keeps a project from being written, a line each: labels that BORIS cannot tell apart, or
    a project that somebody has saved in the same place, with work of theirs in it."""
    found = name_problems(header)
    path = folder / FILE
    if is_file(path):
        with path.open() as file:
            if not file.readline(_LONGEST_FIRST_LINE).endswith(_OBSERVATIONS):
                found.append(
                    f"{path} was saved by another program since it was written, perhaps with "
                    "corrections; move or rename it, and a new one is written"
                )
    return found


def write(results: Results, folder: epath.Path, options: FormatOptions) -> list[epath.Path]:
    """Writes `predictions.boris`: an observation for each video that could be decoded.

    Raises:
        UserError: it cannot be written.
    """
    path, header = folder / FILE, results.header
    with whole_text(path) as file:
        file.write(as_json(_project(header))[:-1] + _OBSERVATIONS.rstrip())
        write_entries(
            file,
            (
                f"{as_json(result.name.strip())}: {as_json(_observation(result, header, options))}"
                for result in videos_of(results)
                if result.is_answered and length_of(result)
            ),
        )
        file.write("\n}}\n")
    return [path]


def _project(header: Header) -> dict:
    subjects = {
        str(number): {"key": "", "name": boris_name(label), "description": readable(label)}
        for number, label in enumerate(header.animals)
    }
    keys = itertools.chain(_KEYS, itertools.repeat(""))
    behaviors = {
        str(number): {
            "type": "State event",
            "key": key,
            "code": boris_name(label),
            "description": readable(label),
            "color": "",
            "category": "",
            "modifiers": {},
            "excluded": "",
            "coding map": "",
        }
        for number, (label, key) in enumerate(zip(header.actions, keys, strict=False))
    }
    return {
        "time_format": "hh:mm:ss",
        "project_date": _date(header),
        "project_name": "Predictions",
        "project_description": f"Predicted by {header.software} with {readable(header.model)}",
        "project_format_version": "7.0",
        "subjects_conf": subjects,
        "behaviors_conf": behaviors,
        "behavioral_categories": [],
        "behavioral_categories_config": {},
        "independent_variables": {},
        "coding_map": {},
        "behaviors_coding_map": [],
        "converters": {},
    }


def _observation(result: VideoResult, header: Header, options: FormatOptions) -> dict:
    said = [text for text in (result.problem, "blank: no animal found" * result.blank) if text]
    path = result.path
    has_audio = result.media is not None and result.media.has_audio
    return {
        "file": {str(player): [path] if player == 1 else [] for player in _PLAYERS},
        "type": "MEDIA",
        "date": _date(header),
        "description": "; ".join(said),
        "time offset": 0.0,
        "events": _events(written_bouts(result, header, options.threshold)),
        "observation time interval": [0, 0],
        "independent_variables": {},
        "close_behaviors_between_videos": False,
        "visualize_spectrogram": False,
        "visualize_waveform": False,
        "media_creation_date_as_offset": False,
        "media_scan_sampling_duration": 0,
        "image_display_duration": 1,
        "media_info": {
            "length": {path: round(length_of(result), 3)},
            "fps": {path: round(frame_rate_of(result), 3)},
            "hasVideo": {path: True},
            "hasAudio": {path: has_audio},
            "offset": {"1": 0.0},
        },
    }


def _events(bouts: list[Bout]) -> list[list]:
    """Two events for each bout, the second of which ends it, by time, subject and code."""
    events = []
    for bout in bouts:
        subject, code = boris_name(bout.animal), boris_name(bout.action)
        events.append([bout.start, subject, code, "", f"p={bout.score:.2f}"])
        events.append([bout.stop, subject, code, "", ""])
    return sorted(events, key=lambda event: event[:3])


def _date(header: Header) -> str:
    return header.made[:19]  # without the time zone, which BORIS does not know
