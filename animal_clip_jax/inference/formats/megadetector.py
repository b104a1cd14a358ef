"""The JSON of MegaDetector, version 1.6: opens in Timelapse and AddaxAI.

The behaviours are classifications of a detection that takes up the whole picture.
"""

from etils import epath

from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.outputs import as_json, whole_text, write_entries
from animal_clip_jax.inference.formats.timeline import (
    frame_rate_of,
    length_of,
    readable,
    videos_of,
    written_bouts,
)
from animal_clip_jax.inference.results import Header, Results, VideoResult, top

FILE = "megadetector.json"
_ANIMAL = "1"


def write(results: Results, folder: epath.Path, options: FormatOptions) -> list[epath.Path]:
    """Writes `megadetector.json`.

    A bout is a detection in its middle frame. A video without windows is one in the middle of the
    video, with the likeliest actions. A blank video has no detection, and one without an answer a
    `failure`.

    Raises:
        UserError: it cannot be written.
    """
    path, header = folder / FILE, results.header
    head = {
        "info": {
            "format_version": "1.6",
            "detector": header.software,
            "detection_completion_time": header.made[:19].replace("T", " "),
            "classifier": readable(header.model),
            "classification_completion_time": header.made[:19].replace("T", " "),
        },
        "detection_categories": {_ANIMAL: "animal"},
        "classification_categories": {
            str(number): readable(label) for number, label in enumerate(header.actions)
        },
    }
    codes = {label: str(number) for number, label in enumerate(header.actions)}
    with whole_text(path) as file:
        file.write(as_json(head)[:-1] + ', "images": [')
        write_entries(
            file,
            (as_json(_video(result, header, codes, options)) for result in videos_of(results)),
        )
        file.write("\n]}\n")
    return [path]


def _video(
    result: VideoResult, header: Header, codes: dict[str, str], options: FormatOptions
) -> dict:
    rate = frame_rate_of(result)
    if not result.is_answered:
        failure = result.problem or "no answer"
        # MegaDetector's own check asks for a rate of every video; 0 is one that is not known.
        return {"file": result.name, "frame_rate": rate, "failure": failure, "detections": None}
    last = result.media.num_frames - 1 if result.media is not None else None
    if result.windows is not None:
        middles = ((result.windows.starts + result.windows.stops) / 2).tolist()
    else:
        middles = [length_of(result) / 2]
    looked_at = {_frame(middle, rate, last) for middle in middles}
    if result.blank:
        found = []
    elif result.windows is None and not result.bouts:
        best = top(header.actions, result.actions, options.top_k)
        found = [_detection(_frame(middles[0], rate, last), best, codes)]
    else:
        found = [
            _detection(
                _frame((bout.start + bout.stop) / 2, rate, last),
                [(bout.action, bout.score)],
                codes,
            )
            for bout in written_bouts(result, header, options.threshold)
        ]
    looked_at.update(detection["frame_number"] for detection in found)
    return {
        "file": result.name,
        "frame_rate": rate,
        "frames_processed": sorted(looked_at),
        "detections": sorted(found, key=lambda detection: detection["frame_number"]),
    }


def _detection(frame: int, actions: list[tuple[str, float]], codes: dict[str, str]) -> dict:
    classifications = [[codes[label], round(float(score), 4)] for label, score in actions]
    return {
        "category": _ANIMAL,
        "conf": classifications[0][1],
        "bbox": [0.0, 0.0, 1.0, 1.0],
        "frame_number": frame,
        "classifications": classifications,
    }


def _frame(time: float, rate: float, last: int | None) -> int:
    """The number of the frame that is shown at a time; the first is 0."""
    frame = int(time * rate + 1e-6)
    return frame if last is None else min(frame, max(last, 0))
