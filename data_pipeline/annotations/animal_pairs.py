"""Animal Kingdom's lists of pairs: `[('Common Crane', 'Attending'), ('Common Crane', 'Eating')]`.

They look like Python and are not: names hold unescaped apostrophes (`'Russell's Viper'`), an
opening quote can be missing, and the workbook holds a few lists inside of text inside of a list. So
they are read by what does hold: a pair ends with a comma, a quoted action without quotes in it, and
a closing parenthesis.
"""

import re

from data_pipeline.annotations.record import AnnotationError

PAIR = re.compile(
    r"""\(\s*(?P<animal>[^\s,].*?)\s*,\s*
        \\*(?P<quote>['"])\s*(?P<action>[^'"()\\]*?)\s*\\*(?P=quote)\s*,?\s*\)""",
    re.VERBOSE,
)
BETWEEN_PAIRS = re.compile(r"""[\s,\[\]'"\\]*""")
OPENING_QUOTE = re.compile(r"""^\\*['"]\s*""")
CLOSING_QUOTE = re.compile(r"""\s*\\*['"]$""")
# What a name that has swallowed the border between two pairs, or between animal and action, would
# hold.
SWALLOWED = re.compile(r"""['"]\s*\)|\(\s*\\*['"]|['"]\s*,\s*\\*['"]""")


def parse_pairs(text: str, place: str) -> list[tuple[str, str]]:
    """(animal, action) pairs of such a list, in order.

    Args:
        text: the list, with or without its brackets.
        place: where it stands, for the message.

    Raises:
        AnnotationError: some of the text is not part of a pair, or there is none.
    """
    pairs = []
    end = 0
    for match in PAIR.finditer(text):
        animal = _unquoted(match["animal"])
        between = text[end : match.start()]
        if not BETWEEN_PAIRS.fullmatch(between):
            raise _error(place, text, between)
        if not animal or not match["action"] or SWALLOWED.search(match["animal"]):
            raise _error(place, text, match[0])
        pairs.append((animal, match["action"]))
        end = match.end()
    if not pairs or not BETWEEN_PAIRS.fullmatch(text[end:]):
        raise _error(place, text, text[end:])
    return pairs


def _unquoted(name: str) -> str:
    """A name without the quotes around it, if they are there, and without escapes."""
    name = CLOSING_QUOTE.sub("", OPENING_QUOTE.sub("", name))
    return name.replace("\\'", "'").replace('\\"', '"').replace("\\", "")


def _error(place: str, text: str, part: str) -> AnnotationError:
    return AnnotationError(
        f"{place}: expected pairs of an animal and an action such as "
        f"[('Lion', 'Resting')], found {part.strip()[:80]!r} in {text[:200]!r}"
    )
