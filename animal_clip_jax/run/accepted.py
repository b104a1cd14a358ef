"""What the fields of a configuration may hold: types and ranges, and how a person is told of them.

A value is first made one of the field's type, and is then in its range or not. Numbers are finite,
and no larger than float32 holds.
"""

import dataclasses
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

_LARGEST = 1e30
_LARGEST_WHOLE = 2**31 - 1
_LONGEST_PATH, _LONGEST_TEXT = 4096, 100_000


@dataclasses.dataclass(frozen=True)
class Accepted:
    """What a field may hold.

    Attributes:
        expected: in words, to follow "expected".
        convert: gives a value as one of the field's type; raises TypeError if it is of another.
        is_in: whether a value of the field's type is in its range.
        names: those that may be given, if it is names; to offer the nearest.
        is_open: whether 0, "" or () leaves the field open, for the weights to say.
        is_by_data: whether 0 or "" leaves it to the data.
    """

    expected: str
    convert: Callable[[Any], Any]
    is_in: Callable[[Any], bool]
    names: tuple[str, ...] = ()
    is_open: bool = False
    is_by_data: bool = False


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    try:
        number = float(value)
    except OverflowError as error:
        raise TypeError from error
    if not math.isfinite(number):
        raise TypeError
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _each(convert: Callable[[Any], Any]) -> Callable[[Any], tuple]:
    def convert_all(value: Any) -> tuple:
        if not isinstance(value, list | tuple):
            raise TypeError
        return tuple(convert(item) for item in value)

    return convert_all


def whole(least: int, most: int = _LARGEST_WHOLE) -> Accepted:
    """A whole number from `least` to `most`."""
    is_limited = most != _LARGEST_WHOLE
    expected = f"from {least} to {most}" if is_limited else f"of at least {least}"
    return Accepted(f"a whole number {expected}", _whole, lambda value: least <= value <= most)


def number(least: float = 0.0, most: float = _LARGEST, *, below: float | None = None) -> Accepted:
    """A number from `least` to `most`, or instead of `most` to less than `below`."""
    end = f"to {most:g}" if below is None else f"to less than {below:g}"

    def is_in(value: float) -> bool:
        return least <= value and (value <= most if below is None else value < below)

    return Accepted(f"a number from {least:g} {end}", _number, is_in)


def boolean() -> Accepted:
    """True or False."""
    return Accepted("True or False", _boolean, lambda value: True)


def one_of(*names: str) -> Accepted:
    """One of several names."""
    return Accepted(_listed(names), _text, lambda value: value in names, names)


def one_whole_of(*numbers: int) -> Accepted:
    """One of several whole numbers."""
    return Accepted(" or ".join(map(str, numbers)), _whole, lambda value: value in numbers)


def some_of(names: Sequence[str]) -> Accepted:
    """At least one of several names, and none twice."""

    def is_in(value: tuple[str, ...]) -> bool:
        return bool(value) and len(set(value)) == len(value) and set(value) <= set(names)

    words = f"some of {', '.join(map(repr, names))}, each once, such as ({names[0]!r},)"
    return Accepted(words, _each(_text), is_in, tuple(names))


def checkpoint() -> Accepted:
    """Which checkpoint of a run."""
    words = "'latest', 'best' or the number of a step"
    names = ("latest", "best")
    return Accepted(
        words,
        _text,
        lambda value: value in names or re.fullmatch("[0-9]{1,10}", value) is not None,
        names,
    )


def path(*, may_be_empty: bool = True) -> Accepted:
    """A file or folder, local or remote; or a word that stands for one."""
    words = (
        f"a path of at most {_LONGEST_PATH} characters of UTF-8, none of them a control character"
    )
    return _text_of(words, _LONGEST_PATH, may_be_empty)


def text(*, may_be_empty: bool = True) -> Accepted:
    """Any text of one line."""
    words = f"a text of one line, of at most {_LONGEST_TEXT} characters of UTF-8"
    return _text_of(words, _LONGEST_TEXT, may_be_empty)


def _text_of(words: str, longest: int, may_be_empty: bool) -> Accepted:
    def is_in(value: str) -> bool:
        least = 0 if may_be_empty else 1
        return least <= len(value) <= longest and not any(map(_is_no_character, value))

    return Accepted(words if may_be_empty else f"{words}, and not empty", _text, is_in)


def _is_no_character(character: str) -> bool:
    """Line breaks, NUL and other control characters, and bytes that are not UTF-8 (surrogates)."""
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def channels(of_each: Accepted) -> Accepted:
    """A number for red, green and blue."""
    return Accepted(
        f"three numbers, for red, green and blue, each {of_each.expected}",
        _each(of_each.convert),
        lambda value: len(value) == 3 and all(map(of_each.is_in, value)),
    )


def either(value: Any, what: str, accepted: Accepted, *, is_open: bool = False) -> Accepted:
    """One special value, or what `accepted` says.

    Args:
        what: the value does, to follow it.
    """
    return dataclasses.replace(
        accepted,
        expected=f"{accepted.expected}, or {value!r} {what}",
        is_in=lambda found: found == value or accepted.is_in(found),
        is_open=is_open,
    )


def open_or(accepted: Accepted) -> Accepted:
    """What `accepted` says of a whole number; or 0, which leaves it open."""
    return either(0, "to leave it open", accepted, is_open=True)


def by_data(value: Any, accepted: Accepted) -> Accepted:
    """What `accepted` says; or 0 or "", which leaves it to the data."""
    words = "to follow the data"
    return dataclasses.replace(either(value, words, accepted), is_by_data=True)


def _listed(names: Sequence[str]) -> str:
    quoted = [repr(name) for name in names]
    if len(quoted) == 2:
        return " or ".join(quoted)
    return f"one of {', '.join(quoted)}"
