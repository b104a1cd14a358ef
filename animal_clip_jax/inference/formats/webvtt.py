"""WebVTT: bouts as subtitles, a file for each video, which players find beside it."""

from etils import epath

from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.outputs import VideoFiles, output_names, whole
from animal_clip_jax.inference.formats.timeline import (
    length_of,
    readable,
    video_names,
    videos_of,
    written_bouts,
)
from animal_clip_jax.inference.results import Bout, Results

FOLDER = "webvtt"
ENDING = ".vtt"
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}  # the last, since --> may not be in a text


def write(results: Results, folder: epath.Path, options: FormatOptions) -> list[epath.Path]:
    """Writes `webvtt/`, a file for each video that has an answer.

    Raises:
        UserError: it cannot be written.
    """
    with whole(folder / FOLDER) as new:
        files = VideoFiles(folder / FOLDER, new, output_names(video_names(results), ENDING))
        for result in videos_of(results):
            if not result.is_answered:
                continue
            bouts = written_bouts(result, results.header, options.threshold)
            with files.open(result.name) as file:
                file.write("WEBVTT\n")
                if result.problem:
                    file.write(f"\nNOTE {escaped(result.problem)}\n")
                file.writelines(map(_cue, bouts))
                if result.blank and round(length_of(result), 3):
                    file.write(f"\n{_span(0.0, length_of(result))}\n(blank: no animal found)\n")
    return files.written


def cue_text(bout: Bout) -> str:
    """What is shown during a bout, with `&`, `<` and `>` escaped."""
    animal = f"{bout.animal}: " if bout.animal else ""
    return escaped(f"{animal}{bout.action} ({bout.score:.0%})")


def escaped(text: str) -> str:
    """A text as it stands in a cue."""
    return "".join(_ESCAPED.get(character, character) for character in readable(text))


def _cue(bout: Bout) -> str:
    return f"\n{_span(bout.start, bout.stop)}\n{cue_text(bout)}\n"


def _span(start: float, stop: float) -> str:
    return f"{_time(start)} --> {_time(stop)}"


def _time(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"
