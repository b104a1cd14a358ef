"""Names of labels that are probably not what was meant."""

import re
import unicodedata
from collections.abc import Sequence

from data_pipeline.names import similar_names

# What is in a name when a list, a markup or another encoding was cut wrongly.
_BROKEN = re.compile(r"""["\[\]{}<>|\\\N{REPLACEMENT CHARACTER}]|^[',;.:)]|[,;:(]$|_$|^_""")
# Scripts that have letters like those of another: one word is written in one of them.
_LOOKALIKE_SCRIPTS = frozenset(("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "COPTIC", "CHEROKEE"))
_WORD = re.compile(r"[^\W\d_]+")


def odd_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """The names that a person should look at, and why.

    Args:
        names: of actions, or of animals.

    Returns:
        (name, reason) in the order of the names; a name may be odd for several reasons.
    """
    alike = {name: group for group in similar_names(names) for name in group}
    odd = []
    for name in names:
        if name in alike:
            others = ", ".join(other for other in alike[name] if other != name)
            odd.append((name, f"differs from {others} in case, spaces, hyphens or number alone"))
        if is_broken(name):
            odd.append((name, "looks cut wrongly: a bracket, a quotation mark or a separator"))
        odd.extend((name, reason) for reason in _mixed_scripts(name))
    return odd


def is_broken(name: str) -> bool:
    """Whether a name holds what is of a list or of markup, as `S Viper"]` does."""
    return bool(_BROKEN.search(name)) or name.count("(") != name.count(")")


def _mixed_scripts(name: str) -> list[str]:
    """Says which letter of a word is of another script than the rest of the word."""
    reasons = []
    for word in _WORD.findall(name):
        scripts = [_script(letter) for letter in word]
        known = [script for script in scripts if script]
        if len(set(known)) < 2:
            continue
        usual = max(dict.fromkeys(known), key=known.count)
        place = next(k for k, script in enumerate(scripts) if script and script != usual)
        reasons.append(
            f"has the letter {word[place]} (U+{ord(word[place]):04X}, "
            f"{unicodedata.name(word[place])}) in a word that is otherwise {usual.capitalize()}"
        )
    return reasons


def _script(letter: str) -> str:
    """Of a letter that may be mistaken for one of another script; "" of others."""
    script = unicodedata.name(letter, "").partition(" ")[0]
    return script if script in _LOOKALIKE_SCRIPTS else ""
