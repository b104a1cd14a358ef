"""What may be in the name of an action or animal, or in the path of a video."""

import functools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

from animal_clip_jax.errors import quoted
from data_pipeline.limits import MOST_NAME_CHARACTERS

# Characters that end a line, steer a terminal, turn the direction of writing, are never seen or are
# none: in lists of one name a line they make two names of one, and elsewhere they hide what is
# written. Not among them are the joiners U+200C and U+200D, which several scripts spell words with.
CONTROL_CHARACTER = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f"
    + "".join(
        f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(1 << 16, 17 << 16, 1 << 16)
    )
    + "]"
)
# Letters and signs that show nothing, by Unicode's names: fillers, and the blank of Braille.
_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def text_problem(text: str, what: str) -> str | None:
    """Why a text cannot be a path or part of a list: a character in it steers or hides.

    Args:
        text: such as a path or a name.
        what: it is, for the message.

    Returns:
        The message, without the place; None where nothing is wrong.
    """
    found = CONTROL_CHARACTER.search(text)
    if not found:
        return None
    kind = "a line break" if found[0] in "\n\r" else "a control character"
    return f"the {what} {quoted(text)} has {kind} in it (U+{ord(found[0]):04X}); remove it"


# The same few names stand in thousands of rows.
@functools.lru_cache(maxsize=4096)
def name_problem(name: str, what: str) -> str | None:
    """Why a label cannot be one: it shows nothing, is very long, or has a `text_problem`.

    Args:
        name: of an action or animal, without space around it.
        what: "action" or "animal".

    Returns:
        As `text_problem`.
    """
    if shows_nothing(name):
        return f"the name of the {what} is empty"
    if len(name) > MOST_NAME_CHARACTERS:
        return (
            f"the {what} {quoted(name)} is {len(name)} characters long; "
            f"{MOST_NAME_CHARACTERS} are the most"
        )
    return text_problem(name, what)


def shows_nothing(text: str) -> bool:
    """Whether there is no letter, digit or sign in a text: nothing, or spaces, marks without a
    letter, and characters that are never seen."""
    return not _visible(text, without="ZCM")


def similar_names(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The groups of names that a reader would take for one: they differ in case, in spaces and
    hyphens, in how their letters are encoded, or as singular and plural do in English."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        plain = _visible(unicodedata.normalize("NFKC", name).casefold())
        groups[_without_hyphens(plain) or plain].append(name)
    for plural in sorted(groups, key=len, reverse=True):
        singular = next((form for form in _singulars(plural) if form in groups), None)
        if singular is not None:
            groups[singular] += groups.pop(plural)
    order = {name: place for place, name in enumerate(names)}
    alike = [tuple(sorted(group, key=order.__getitem__)) for group in groups.values()]
    return sorted((group for group in alike if len(group) > 1), key=lambda group: order[group[0]])


def _without_hyphens(text: str) -> str:
    return "".join(letter for letter in text if unicodedata.category(letter) not in ("Pd", "Pc"))


def _singulars(text: str) -> Iterator[str]:
    """What a word may be the plural of, such as foxes of fox."""
    for ending, singular in (("ies", "y"), ("ves", "f"), ("es", ""), ("s", "")):
        if text.endswith(ending) and len(text) > len(ending) + 1:
            yield text.removesuffix(ending) + singular


def _visible(text: str, *, without: str = "ZC") -> str:
    """The characters that are seen: no spaces, no formats, no control characters.

    Args:
        without: kinds of characters by the first letters of Unicode's categories; with M, marks
            go too, which nothing is left of without a letter.
    """
    return "".join(
        letter
        for letter in text
        if unicodedata.category(letter)[0] not in without and letter not in _BLANKS
    )
