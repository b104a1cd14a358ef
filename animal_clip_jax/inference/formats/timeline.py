"""What all formats write of a video: its bouts, length and frame rate, and names."""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterator

from animal_clip_jax.evaluation.calibration import DEFAULT_THRESHOLD
from animal_clip_jax.inference.results import Bout, Header, Results, VideoResult, top

# Formats have a line, or a row, for each thing.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def readable(text: str) -> str:
    """A text that can stand in a UTF-8 file, on one line. Names of files may be of any bytes."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _BREAKS.sub(" ", text)


def videos_of(results: Results) -> Iterator[VideoResult]:
    """The results one by one, with names, paths and problems that can be written."""
    for result in results:
        yield dataclasses.replace(
            result,
            name=readable(result.name),
            path=readable(result.path),
            problem=readable(result.problem),
        )


def video_names(results: Results) -> list[str]:
    """The names of all videos, as `videos_of` has them."""
    return [readable(result.name) for result in results]


def length_of(result: VideoResult) -> float:
    """Of a video, in seconds; 0 where nothing says it."""
    if result.media is not None:
        return max(result.media.duration, 0.0)
    if result.windows is not None and len(result.windows.stops):
        return float(result.windows.stops.max())
    return 0.0


def frame_rate_of(result: VideoResult) -> float:
    """Frames a second, on average; 0 where nothing says it."""
    media = result.media
    if media is None:
        return 0.0
    if media.frame_rate > 0:
        return media.frame_rate
    return media.num_frames / media.duration if media.duration > 0 else 0.0


def written_bouts(
    result: VideoResult, header: Header, threshold: float | None = None
) -> list[Bout]:
    """The bouts of a video as they are written.

    They lie within the video, and their times are rounded to milliseconds. Those of one action and
    animal do not overlap or touch: such are one, whose score is their mean by length. A video
    without windows has one bout over its whole length, for the likeliest action; where each action
    has a probability of its own, one for every action from the threshold on. A blank video and one
    without an answer have none.

    Args:
        result: of the video.
        header: of the results.
        threshold: see above, from 0 to 1; None takes those of the calibrated model, or 0.5.

    Returns:
        by start, stop, action and animal.
    """
    if not result.is_answered or result.blank:
        return []
    length = length_of(result)
    bouts = result.bouts
    if not bouts and result.windows is None:
        bouts = _whole(result, header, threshold, length)
    of_pair: dict[tuple[str, str], list[Bout]] = defaultdict(list)
    for bout in sorted(bouts, key=lambda bout: bout.start):
        start = round(max(bout.start, 0.0), 3)
        stop = round(min(bout.stop, length) if length else bout.stop, 3)
        if stop > start:
            _append(
                of_pair[bout.action, bout.animal], dataclasses.replace(bout, start=start, stop=stop)
            )
    found = [bout for pair in of_pair.values() for bout in pair]
    return sorted(found, key=lambda bout: (bout.start, bout.stop, bout.action, bout.animal))


def _whole(
    result: VideoResult, header: Header, threshold: float | None, length: float
) -> tuple[Bout, ...]:
    if header.multi_label:
        actions = top(header.actions, result.actions, len(header.actions))
        own = header.settings.get("thresholds", {}) if threshold is None else {}
        least = DEFAULT_THRESHOLD if threshold is None else threshold
        actions = [(action, score) for action, score in actions if score >= own.get(action, least)]
    else:
        actions = top(header.actions, result.actions, 1)
    animal = next((animal for animal, _ in top(header.animals, result.animals, 1)), "")
    return tuple(Bout(0.0, length, action, animal, score) for action, score in actions)


def _append(bouts: list[Bout], bout: Bout) -> None:
    """Adds a bout that starts no earlier than the last one, of the same action and animal."""
    if not bouts or bout.start > bouts[-1].stop:
        bouts.append(bout)
        return
    last = bouts[-1]
    lengths = last.stop - last.start, bout.stop - bout.start
    score = (lengths[0] * last.score + lengths[1] * bout.score) / sum(lengths)
    bouts[-1] = dataclasses.replace(last, stop=max(last.stop, bout.stop), score=score)
