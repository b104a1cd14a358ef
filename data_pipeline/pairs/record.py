"""A picture and the texts that describe it: what one is, and what is wrong with one."""

import io
from typing import NamedTuple

from PIL import Image

from animal_clip_jax.errors import UserError, quoted, shortened
from data_pipeline.limits import MOST_CELL_CHARACTERS, MOST_FRAME_PIXELS
from data_pipeline.names import name_problem, shows_nothing

# They end a text for CLIP's tokenizer, and no text may hold one.
_RESERVED = ("<|startoftext|>", "<|endoftext|>")


class Pair(NamedTuple):
    """A picture and its texts.

    Attributes:
        image: a JPEG or PNG file.
        texts: one or more, each of which describes the picture.
        label: what it shows, for figures of how well that is recognised; "" where none is known.
    """

    image: bytes
    texts: tuple[str, ...]
    label: str = ""


class ImageSize(NamedTuple):
    """Of a picture, in pixels."""

    height: int
    width: int


def checked_size(pair: Pair, place: str) -> ImageSize:
    """The size of a pair's picture, once the pair is found to be one.

    Args:
        place: of the pair, for the message.

    Raises:
        UserError: it has no text, a text is empty, very long or reserved, the label cannot be one,
            or the picture is damaged, very large, or neither JPEG nor PNG.
    """
    if not pair.texts:
        raise UserError(f"{place}: the picture has no text; expected one or more")
    for text in pair.texts:
        problem = text_problem(text)
        if problem:
            raise UserError(f"{place}: {problem}")
    label_problem = name_problem(pair.label, "label") if pair.label else None
    if label_problem:
        raise UserError(f"{place}: {label_problem}")
    return ImageSize(*reversed(opened(pair.image, place).size))


def text_problem(text: str) -> str | None:
    """Why a text cannot describe a picture, without the place; None where nothing is wrong."""
    if shows_nothing(text):
        return "the text of the picture is empty; expected what it shows"
    if len(text) > MOST_CELL_CHARACTERS:
        return f"the text has {len(text)} characters; {MOST_CELL_CHARACTERS} are the most"
    reserved = next((word for word in _RESERVED if word in text.lower()), None)
    if reserved:
        return f"the text {quoted(text)} holds {reserved}, which CLIP reserves; remove it"
    return None


def opened(image: bytes, place: str) -> Image.Image:
    """A picture, decoded.

    Raises:
        UserError: it is damaged, very large, or neither JPEG nor PNG.
    """
    try:
        picture = Image.open(io.BytesIO(image), formats=("JPEG", "PNG"))
        if picture.width * picture.height > MOST_FRAME_PIXELS:
            raise UserError(
                f"{place}: the picture is {picture.width}x{picture.height}; "
                f"{MOST_FRAME_PIXELS} pixels are the most"
            )
        picture.load()
        return picture
    except UserError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(
            f"{place}: the picture is damaged, or neither JPEG nor PNG ({shortened(error)})"
        ) from error
