"""Tasks for Label Studio with bouts as pre-annotations, and the labelling interface for them."""

import math
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from etils import epath

from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.outputs import as_json, whole_text, write_entries
from animal_clip_jax.inference.formats.timeline import (
    frame_rate_of,
    readable,
    videos_of,
    written_bouts,
)
from animal_clip_jax.inference.results import Bout, Header, Results, VideoResult

FILE = "label_studio.json"
INTERFACE_FILE = "label_studio.xml"
_LABELS, _VIDEO = "timelineLabels", "video"
_TOLERANCE = 1e-3  # frames; times are rounded to milliseconds


def write(results: Results, folder: epath.Path, options: FormatOptions) -> list[epath.Path]:
    """Writes `label_studio.json`, a task for each video that has an answer and a frame rate; and
    `label_studio.xml`, the interface to set up in the project first.

    Frames are counted from 1. At a variable frame rate they are those of the mean rate.

    Raises:
        UserError: it cannot be written.
    """
    tasks, interface = folder / FILE, folder / INTERFACE_FILE
    with whole_text(tasks) as file:
        file.write("[")
        write_entries(
            file,
            (
                as_json(_task(result, results.header, options))
                for result in videos_of(results)
                if result.is_answered and frame_rate_of(result)
            ),
        )
        file.write("\n]\n")
    with whole_text(interface) as file:
        file.write(_interface(results.header))
    return [tasks, interface]


def _task(result: VideoResult, header: Header, options: FormatOptions) -> dict:
    rate = frame_rate_of(result)
    data = {"video": options.media_url + quote(result.name), "fps": round(rate, 6)}
    if result.problem:
        data["problem"] = result.problem
    if result.blank:
        data["blank"] = True
    last = result.media.num_frames if result.media is not None else 0
    bouts = written_bouts(result, header, options.threshold)
    regions = [_region(bout, number, rate, last) for number, bout in enumerate(bouts)]
    prediction: dict[str, object] = {"model_version": readable(header.model), "result": regions}
    if bouts:
        prediction["score"] = round(min(bout.score for bout in bouts), 4)
    return {"data": data, "predictions": [prediction]}


def _region(bout: Bout, number: int, rate: float, last: int) -> dict:
    start = math.floor(bout.start * rate + _TOLERANCE) + 1
    end = max(math.ceil(bout.stop * rate - _TOLERANCE), start)
    if last:
        start, end = min(start, last), min(end, last)
    region = {
        "id": f"bout-{number}",
        "from_name": _LABELS,
        "to_name": _VIDEO,
        "type": "timelinelabels",
        "value": {
            "ranges": [{"start": start, "end": end}],
            "timelinelabels": [readable(bout.action)],
        },
        "score": round(bout.score, 4),
    }
    if bout.animal:
        region["meta"] = {"text": [readable(bout.animal)]}
    return region


def _interface(header: Header) -> str:
    labels = "".join(
        f"    <Label value={quoteattr(readable(label))}/>\n" for label in header.actions
    )
    return (
        "<View>\n"
        f'  <TimelineLabels name="{_LABELS}" toName="{_VIDEO}">\n{labels}  </TimelineLabels>\n'
        f'  <Video name="{_VIDEO}" value="$video" frameRate="$fps"/>\n'
        "</View>\n"
    )
