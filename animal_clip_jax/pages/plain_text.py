"""Texts of others, as they are shown on a page."""

import re

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# They make a name read as another one: "cod.exe" for what ends in "doc".
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """A text that can stand in a page or a chart: on one line, and in no other order than it is in.

    Names of files may be of any bytes.
    """
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _TURNING.sub("\N{REPLACEMENT CHARACTER}", _BREAKS.sub(" ", text))
