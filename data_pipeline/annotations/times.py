"""Times in a recording, as people write them: 12.5, 1:05 or 0:01:05.250."""

import re

from animal_clip_jax.errors import quoted
from data_pipeline.annotations.record import AnnotationError

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_CLOCK = re.compile(r"(?:([0-9]{1,4}):)?([0-9]{1,4}):([0-9]{1,2}(?:\.[0-9]{1,9})?)")
EXPECTED = "seconds such as 12.5, or minutes:seconds or hours:minutes:seconds"


def seconds(text: str, place: str, what: str, *, decimal_comma: bool = False) -> float:
    """The seconds from the beginning of a recording that a text says.

    Args:
        text: such as "12.5", "1:05" (a minute and five seconds) or "0:01:05.250".
        place: where it stands, for the message.
        what: it is, such as "start".
        decimal_comma: whether "12,5" is 12.5.

    Raises:
        AnnotationError: it is no time.
    """
    point = text.replace(",", ".") if decimal_comma else text
    if _SECONDS.fullmatch(point):
        return float(point)
    clock = _CLOCK.fullmatch(point)
    if clock:
        hours, minutes, rest = int(clock[1] or 0), int(clock[2]), float(clock[3])
        if rest < 60 and (minutes < 60 or clock[1] is None):
            return 3600 * hours + 60 * minutes + rest
    hint = ""
    if not decimal_comma and _SECONDS.fullmatch(text.replace(",", ".")):
        hint = "; write a point for the comma"
    raise AnnotationError(f"{place}: the {what} is {quoted(text)}; expected {EXPECTED}{hint}")
