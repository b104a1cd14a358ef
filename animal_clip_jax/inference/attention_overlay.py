"""Where a model looks, drawn over the frames of a video.

frames, maps = model.attention("clip.mp4")
for number, picture in enumerate(overlays(frames, maps)):
    pathlib.Path(f"{number}.jpg").write_bytes(picture)
"""

import io

import numpy as np
from PIL import Image

# From the least to the most looked at: dark blue over red to light yellow. Brightness grows all the
# way, so that it is read without telling colours apart, and in grey.
_COLOURS = np.array(
    [(10, 12, 80), (88, 20, 110), (170, 40, 95), (228, 90, 50), (250, 170, 40), (255, 250, 170)],
    np.float32,
)
_MOST_OPACITY = 0.7  # where most is looked at; where nothing is, the frame is as it was
_QUALITY = 85


def overlays(
    frames: np.ndarray, maps: np.ndarray, *, size: int | None = None, form: str = "JPEG"
) -> list[bytes]:
    """The frames of a clip with its attention maps over them as colours.

    The brightest colour is that of the patch that is looked at most in the whole clip, and all
    frames have the same scale, so that one that matters little stays as it was.

    Args:
        frames: (frames, height, width, 3) uint8, RGB.
        maps: (frames, rows, columns), not negative; see `Predictor.attention`.
        size: width of the pictures in pixels; None is that of the frames.
        form: "JPEG" or "PNG".

    Returns:
        a picture for each frame, as the bytes of a file.
    """
    most = maps.max()
    strengths = maps / most if most > 0 else maps
    return [
        _encoded(_over(_of_width(frame, size), strength), form)
        for frame, strength in zip(frames, strengths, strict=True)
    ]


def _of_width(frame: np.ndarray, width: int | None) -> Image.Image:
    picture = Image.fromarray(frame)
    if width is None:
        return picture
    height = max(1, round(picture.height * width / picture.width))
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _over(picture: Image.Image, strength: np.ndarray) -> Image.Image:
    """A frame under its map of 0 to 1."""
    spread = Image.fromarray(strength.astype(np.float32))
    value = np.clip(np.asarray(spread.resize(picture.size, Image.Resampling.BICUBIC)), 0, 1)
    places = np.linspace(0, 1, len(_COLOURS))
    colours = np.stack([np.interp(value, places, channel) for channel in _COLOURS.T], axis=-1)
    opacity = (_MOST_OPACITY * value)[..., None]
    mixed = opacity * colours + (1 - opacity) * np.asarray(picture)
    return Image.fromarray(np.round(mixed).astype(np.uint8))


def _encoded(picture: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **({"quality": _QUALITY} if form == "JPEG" else {}))
    return buffer.getvalue()
