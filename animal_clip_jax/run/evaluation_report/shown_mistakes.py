"""The worst mistakes of an evaluation, with frames of their clips."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from animal_clip_jax.evaluation.mistakes import Mistake, worst_mistakes
from animal_clip_jax.pages.plain_text import plain
from animal_clip_jax.pages.rendering import data_url
from animal_clip_jax.run.evaluation_report.evaluated import Evaluated

MOST_MISTAKES = 24
_FRAMES = 4
_FRAME_BOX = (160, 120)  # pixels


def mistakes(evaluated: Evaluated, number: int = MOST_MISTAKES) -> dict[str, Any]:
    """The clips with the highest probabilities of a wrong action, with some of their frames.

    Raises:
        DatasetError: a record of the data is damaged.
    """
    # Here, not above: TensorFlow takes seconds to import.
    from data_pipeline.batches.reading import Source

    probabilities = evaluated.part.probabilities
    found = worst_mistakes(probabilities, evaluated.targets, number)
    if not found:
        return {"clips": []}
    source = Source.open(evaluated.directory, evaluated.clips.split, rows=evaluated.clips.rows)
    return {
        "clips": [
            {
                **_in_words(evaluated, mistake),
                "frames": data_url("image/jpeg", _strip(source.stored_frames(mistake.clip))),
            }
            for mistake in found
        ]
    }


def _in_words(evaluated: Evaluated, mistake: Mistake) -> dict[str, Any]:
    index, clip = evaluated.clips.index, mistake.clip
    stop = index.stops[clip]
    is_part = index.starts[clip] > 0 or np.isfinite(stop)
    until = f"{stop:.1f} s" if np.isfinite(stop) else "its end"
    return {
        "name": plain(index.clip_ids[clip]),
        "video": plain(index.videos[clip]),
        "times": f"{index.starts[clip]:.1f} s to {until}" if is_part else "",
        "annotated": [
            (evaluated.actions[k], f"{100 * evaluated.part.probabilities[clip, k]:.1f} %")
            for k in index.actions[clip]
        ],
        "predicted": evaluated.actions[mistake.action],
        "probability": f"{100 * mistake.score:.1f} %",
        "animals": [evaluated.animals[k] for k in index.animals[clip]],
    }


def _strip(frames: list[bytes]) -> bytes:
    """Some frames of a clip side by side, a JPEG file."""
    places = np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round().astype(int)
    pictures = [
        ImageOps.contain(Image.open(io.BytesIO(frames[place])).convert("RGB"), _FRAME_BOX)
        for place in places
    ]
    gap = 2
    width = sum(picture.width + gap for picture in pictures) - gap
    strip = Image.new("RGB", (width, max(picture.height for picture in pictures)), "#808080")
    left = 0
    for picture in pictures:
        strip.paste(picture, (left, 0))
        left += picture.width + gap
    buffer = io.BytesIO()
    strip.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()
