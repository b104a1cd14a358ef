"""Where in a video the model looks, as pictures for a page."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.answers import AttentionMaps
from animal_clip_jax.inference.attention_overlay import overlays
from animal_clip_jax.inference.report.timeline import seconds_text
from animal_clip_jax.inference.results import VideoResult
from animal_clip_jax.pages.plain_text import plain
from animal_clip_jax.pages.rendering import data_url
from data_pipeline.decoding import VideoError
from data_pipeline.frames_at_times import frames_between
from data_pipeline.rows import Video

Attend = Callable[[Video], AttentionMaps]
_WIDTH = 144  # pixels
_MOST_PICTURES = 10
# More than a model looks at: it takes its own of them. And larger than a picture of it.
_FRAMES, _SHORT_SIDE = 64, 256


class Attended(NamedTuple):
    """Pictures of where a model looks.

    Attributes:
        words: what they are of, or why there are none.
        sources: data URLs, in the order of time.
    """

    words: str
    sources: tuple[str, ...]


def attended(result: VideoResult, attend: Attend) -> Attended:
    """Where the model looks in a video, or in the window of it in which it is surest.

    Args:
        result: of the video.
        attend: see `Predictor.attention`.
    """
    try:
        video, words = _looked_at(result)
        frames, maps = attend(video)
    except (VideoError, UserError) as error:
        return Attended(f"Where the model looks cannot be shown: {plain(str(error))}.", ())
    shown = np.unique(np.linspace(0, len(frames) - 1, _MOST_PICTURES).round().astype(int))
    pictures = overlays(frames, maps, size=_WIDTH)
    sources = tuple(data_url("image/jpeg", pictures[place]) for place in shown)
    return Attended(f"Where the model looks, {words}: most where it is light yellow.", sources)


def _looked_at(result: VideoResult) -> tuple[Video, str]:
    windows = result.windows
    if windows is None or not len(windows.starts):
        return result.path, "in the video as a whole"
    surest = int(windows.actions.max(axis=1).argmax())
    start, stop = float(windows.starts[surest]), float(windows.stops[surest])
    frames = frames_between(result.path, start, stop, _FRAMES, short_side=_SHORT_SIDE)
    words = f"from {seconds_text(start)} to {seconds_text(stop)} s, where it is surest"
    return np.stack(frames), words
