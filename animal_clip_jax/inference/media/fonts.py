"""Letters for whatever script labels are in, as far as this machine has a font for it."""

import functools

from PIL import Image, ImageDraw, ImageFont

# After Pillow's own, which has Latin. Those that many machines have, with ever more scripts.
_FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc"),
    *("NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallback.ttf"),
    *("NotoSansDevanagari-Regular.ttf", "NotoSansThai-Regular.ttf", "NotoSansBengali-Regular.ttf"),
    *("NotoSansTamil-Regular.ttf", "NotoSansEthiopic-Regular.ttf", "Arial Unicode.ttf"),
    *("PingFang.ttc", "msyh.ttc", "malgun.ttf", "Nirmala.ttf"),
)
_NO_CHARACTER = "\uffff"
_SIZE_TO_TRY = 16

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Lettering:
    """Writes texts, each in the first font that has all its letters.

    Attributes:
        unwritable: texts that no font has, and what stands for each.
    """

    def __init__(self) -> None:
        self.unwritable: dict[str, str] = {}

    def name(self, text: str, otherwise: str) -> str:
        """A text, or what stands for it where no font has its letters."""
        if _font_for(text) is not None:
            return text
        self.unwritable[text] = otherwise
        return otherwise

    def width(self, text: str, size: int) -> int:
        """Of a text, in pixels."""
        return round(_font(_font_for(text) or "", size).getlength(text))

    def write(
        self, draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, most: int
    ) -> None:
        """Writes a text, in white, and the beginning of one that is wider than `most` pixels."""
        if self.width(text, size) > most:
            kept = len(text)
            while kept and self.width(f"{text[:kept]}…", size) > most:
                kept -= 1
            text = f"{text[:kept]}…"
        draw.text(place, text, fill=(255, 255, 255), font=_font(_font_for(text) or "", size))


@functools.lru_cache(maxsize=4096)
def _font_for(text: str) -> str | None:
    """The name of the first font that has all letters of a text; "" is Pillow's own, None none."""
    for name in ("", *_FONTS):
        if _exists(name) and all(_has(name, letter) for letter in set(text)):
            return name
    return None


@functools.cache
def _exists(name: str) -> bool:
    try:
        _font(name, _SIZE_TO_TRY)
    except OSError:
        return False
    return True


@functools.lru_cache(maxsize=65_536)
def _has(name: str, letter: str) -> bool:
    """Whether a font has a letter: it does not draw what it draws for those that it lacks."""
    return letter.isspace() or _drawn(name, letter) != _drawn(name, _NO_CHARACTER)


def _drawn(name: str, letter: str) -> bytes:
    picture = Image.new("L", (3 * _SIZE_TO_TRY, 2 * _SIZE_TO_TRY))
    ImageDraw.Draw(picture).text((0, 0), letter, fill=255, font=_font(name, _SIZE_TO_TRY))
    return picture.tobytes()


@functools.lru_cache(maxsize=64)
def _font(name: str, size: int) -> Font:
    return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)
