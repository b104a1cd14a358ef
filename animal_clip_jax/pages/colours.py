"""Colours that people with any kind of colour vision tell apart (Okabe and Ito, 2008).

Their black is left out: on a dark page it could not be seen.
"""

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")


def colour(number: int) -> str:
    """The colour of the class with a number; they come again."""
    return COLOURS[number % len(COLOURS)]
