"""What a person is told of videos that are written."""

from typing import NamedTuple


class Told(NamedTuple):
    """Something to tell.

    Attributes:
        what: the name of a video, or a label.
        text: what is wrong with it.
        is_failure: whether something is missing that was asked for.
    """

    what: str
    text: str
    is_failure: bool = True
