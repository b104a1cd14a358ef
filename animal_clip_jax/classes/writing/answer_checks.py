"""Descriptions out of a model's answer, and what is wrong with one.

The checks are simple, so that they can be understood: `problem` says what each of them looks at.
They cannot tell whether a description is true.
"""

import re

from animal_clip_jax.text.tokenizer import CONTEXT_LENGTH, clean, tokenize

MINIMUM_WORDS = 3

# "1.", "1)", "(1)", "**1.**", "-", "*" or "•", at the start of a line.
_ITEM = re.compile(
    r"\s{0,8}(?:\*\*)?(?:\(?\d{1,3}[.):](?:\*\*)?(?:\s+|(?=[^\W\d]))|[-*•–]\s+)(?=\S)"
)
# Some chat templates write the opening tag themselves, so that an answer has the closing one alone.
_REASONING = re.compile(r"\A(?:.*</think>|\s*<think>.*)", re.DOTALL)
_QUOTES = {'"': '"', "“": "”", "'": "'", "`": "`"}

_REFUSAL = re.compile(
    r"\A(?:(?:i['’]?m|i am) (?:very |so |really )?(?:sorry|unable|not able|afraid)\b"
    r"|(?:i )?(?:can['’]?t|cannot|can not|won['’]?t|could ?n['’]?t) "
    r"(?:help|assist|provide|comply|write|do|fulfil|describe|answer|create|generate)"
    r"|sorry\b|i apologi[sz]e|my apologies|unfortunately,? i\b|i do(?:n['’]t| not) "
    r"|i must decline|as an? (?:ai|artificial|large language|language model))"
    r"|\b(?:as an ai|ai (?:language )?model|ai assistant|large language model)\b",
    re.IGNORECASE,
)

# Words that an English sentence can hardly do without, and those of other languages in Latin
# letters. A word that is common on both sides ("die", "den", "was") is on neither, except
# "a", "an", "in" and "do", which say too much to leave out.
_ENGLISH_WORDS = """
the a an and of to in with its it is are at from by on or for that which this these their
while into over through under along his her has have be being can not one two each other another
between against before after up down out off across around toward towards behind beside above
below near often than then when where so but both like
"""
_OTHER_WORDS = """
el la los las un una unos unas del y con por para que se su sus es sobre hacia mientras
le les des du et est dans avec sur ses sa son une qui vers ou pas aux au
der das und ist mit auf dem ein eine einen einer sich zu im vom zum zur seine ihre von nicht
il lo gli della dello delle dei nel nella sul sulla che di e per sono suo mentre
o os do da dos na nos nas em um uma ao à com seu sua pelo pela
de het een en van op met naar haar ook niet wordt
och att det som på av är ett med sin til og af jeg er ikke
w z się jest nie bir bu ile için yang dan dengan untuk ini
"""
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_OTHER = frozenset(_OTHER_WORDS.split())


def parse_list(text: str) -> list[str]:
    """The items of a model's answer.

    A numbered or bulleted list gives its items; a line right under an item belongs to it, a line
    after a blank one does not. Text without any item gives its lines, except those that
    end with a colon ("Here are ten descriptions:"). Emphasis, quotes around an item, code fences
    and a `<think>` part at the start go away, white space becomes single spaces, and characters
    that cannot be seen are dropped.

    Returns:
        the items in order; an item with nothing in it is left out.
    """
    lines = _REASONING.sub("", text).splitlines()
    lines = [line for line in lines if not line.lstrip().startswith("```")]
    if not any(_ITEM.match(line) for line in lines):
        items = [line for line in lines if not line.rstrip().endswith(":")]
    else:
        items = []
        is_inside = False
        for line in lines:
            item = _ITEM.match(line)
            if item:
                items.append(line[item.end() :])
            elif is_inside and line.strip():
                items[-1] += " " + line
            is_inside = bool(item) or (is_inside and bool(line.strip()))
    return [tidied for tidied in map(_tidied, items) if tidied]


def _tidied(item: str) -> str:
    item = item.replace("**", "").replace("__", "")
    item = "".join(c for c in item if c.isprintable() or c.isspace())
    item = " ".join(item.split())
    while len(item) > 1 and item[0] in _QUOTES and item[-1] == _QUOTES[item[0]]:
        item = item[1:-1].strip()
    return item


def problem(text: str, *, language: str = "en") -> str | None:
    """Why a description cannot be used, or None.

    - a refusal ("I'm sorry, but…", "As an AI…");
    - fewer than three words;
    - more than 77 of CLIP's tokens, so that CLIP would not see its end; or one of CLIP's reserved
      words;
    - characters that were broken on the way (U+FFFD);
    - with `language` "en": less than 9 of 10 letters from A to Z, or fewer than 1 in 10 words among
      some seventy frequent English ones, or no more of these than of frequent words of other
      languages. "any" leaves this out.
    """
    if "\ufffd" in text:
        return "broken characters"
    if _REFUSAL.search(text):
        return "a refusal"
    if language == "en" and not is_english(text):
        return "not English"
    if len(text.split()) < MINIMUM_WORDS:
        return f"fewer than {MINIMUM_WORDS} words"
    try:
        # One place more than fits: the largest id is the end token, so its place tells the length.
        end = int(tokenize([text], CONTEXT_LENGTH + 1)[0].argmax())
    except ValueError:
        return "not a text for CLIP's tokenizer"
    if end >= CONTEXT_LENGTH:
        return f"longer than {CONTEXT_LENGTH} CLIP tokens"
    return None


def is_english(text: str) -> bool:
    """Whether a sentence looks English: see `problem`."""
    letters = [character for character in text if character.isalpha()]
    if sum(character.isascii() for character in letters) < 0.9 * len(letters):
        return False
    words = re.findall(r"[^\W\d_]+", text.lower())
    english = sum(word in _ENGLISH for word in words)
    other = sum(word in _OTHER for word in words)
    return english > other and english >= 0.1 * len(words)


def normalised(text: str) -> str:
    """What two texts share that differ only in case, punctuation or white space."""
    return " ".join(re.findall(r"\w+", clean(text).casefold()))
