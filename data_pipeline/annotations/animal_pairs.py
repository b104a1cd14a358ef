"""Animal Kingdom's lists of pairs: `[('Common Crane', 'Attending'), ('Common Crane', 'Eating')]`.

They look like Python and are not: names hold unescaped apostrophes (`'Russell's Viper'`), an
opening quote can be missing, and the workbook holds a few lists inside of text inside of a list. So
they are read by what does hold: a pair ends with a comma, a quoted action without quotes in it, and
a closing parenthesis.
"""

import re

from animal_clip_jax.errors import quoted
from data_pipeline.annotations.record import AnnotationError

# A kind of repair.
QUOTE_MISSING = "a quote is missing"
BRACKET_MISSING = "bracket missing"

# What ends a pair. Nothing in it can match in two ways, so that the time that a line takes is in
# proportion to its length, whatever it holds.
END_OF_PAIR = re.compile(
    r""",\s*+\\*+(?P<quote>['"])(?P<action>[^'"()\\]*+)\\*+(?P=quote)\s*+(?:,\s*+)?\)""",
)
BETWEEN_PAIRS = re.compile(r"""[\s,\[\]'"\\]*+""")
# What a name that has swallowed the border between two pairs, or between animal and action, would
# hold.
SWALLOWED = re.compile(r"""['"]\s*+\)|\(\s*+\\*+['"]|['"]\s*+,\s*+\\*+['"]""")


def parse_pairs(text: str, place: str) -> list[tuple[str, str]]:
    """(animal, action) pairs of such a list, in order.

    Args:
        text: the list, with or without its brackets.
        place: where it stands, for the message.

    Raises:
        AnnotationError: some of the text is not part of a pair, or there is none.
    """
    return read_pairs(text, place)[0]


def read_pairs(text: str, place: str) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
    """The pairs as by `parse_pairs`, and (what is wrong, text, what it is taken as) of a pair whose
    opening quote is missing, or a list that lacks a bracket.

    Raises:
        AnnotationError: as there.
    """
    pairs, wrong = [], []
    end = 0
    for match in END_OF_PAIR.finditer(text):
        between, opening, inside = text[end : match.start()].partition("(")
        if not opening or not BETWEEN_PAIRS.fullmatch(between):
            raise _error(place, text, between or match[0])
        animal, action = _unquoted(inside.strip()), match["action"].strip()
        if not animal or not action or inside.lstrip()[:1] == "," or SWALLOWED.search(inside):
            raise _error(place, text, text[end : match.end()])
        pairs.append((animal, action))
        if inside.lstrip("\\ ")[:1] not in ("'", '"'):
            wrong.append((QUOTE_MISSING, f"({inside}{match[0]}", animal))
        end = match.end()
    if not pairs or not BETWEEN_PAIRS.fullmatch(text, end):
        raise _error(place, text, text[end:])
    if text.count("[") != text.count("]") or not text.lstrip().startswith("["):
        taken_as = ", ".join(f"{animal}: {action}" for animal, action in pairs)
        wrong.append((BRACKET_MISSING, text, taken_as))
    return pairs, wrong


def _unquoted(name: str) -> str:
    """A name without the quotes around it, if they are there, and without escapes."""
    if name.lstrip("\\")[:1] in ("'", '"'):
        name = name.lstrip("\\")[1:].lstrip()
    if name[-1:] in ("'", '"'):
        name = name[:-1].rstrip("\\").rstrip()
    return name.replace("\\'", "'").replace('\\"', '"').replace("\\", "")


def _error(place: str, text: str, part: str) -> AnnotationError:
    return AnnotationError(
        f"{place}: expected pairs of an animal and an action such as "
        f"[('Lion', 'Resting')], found {quoted(part.strip())} in {quoted(text)}"
    )
