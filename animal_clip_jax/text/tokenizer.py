"""CLIP's byte-pair encoding: text to the token ids that the text tower was trained on.

>>> tokenize(["a photo of a cat"])[0, :8].tolist()
[49406, 320, 1125, 539, 320, 2368, 49407, 0]

The merges table is OpenAI CLIP's own and travels with the package (``data/``, with its licence), so
nothing is downloaded. The encoding is run by the ``tokenizers`` library.
"""

from __future__ import annotations

import functools
import gzip
import html
import importlib.resources
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from animal_clip_jax.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CONTEXT_LENGTH = 77
START_TOKEN = 49406
END_TOKEN = 49407
PADDING = 0

_RESERVED = ("<|startoftext|>", "<|endoftext|>")

# CLIP splits a text into contractions, words, single digits and runs of anything else, and merges
# within each. It matches regardless of case: in lower-case text that adds the long s, which folds
# to s, and nothing else. The only white space in a cleaned text is " ".
_SPLIT = r"'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^ \p{L}\p{N}]+"


def _characters(*ranges: tuple[int, int]) -> str:
    return "".join(chr(code) for first, last in ranges for code in range(first, last + 1))


_SINGLE_QUOTES = _characters((0x02BC, 0x02BC), (0x2018, 0x201B))
_DOUBLE_QUOTES = _characters((0x201C, 0x201F))
_LIGATURES = _characters((0x0132, 0x0133), (0x01C4, 0x01CC), (0x01F1, 0x01F3), (0xFB00, 0xFB06))
_FULL_AND_HALF_WIDTH = _characters((0x3000, 0x3000), (0xFF01, 0xFFEF))
_INVISIBLE = _characters(
    (0x00, 0x08), (0x0B, 0x0B), (0x0E, 0x1F), (0x7F, 0x7F), (0x206A, 0x206F), (0xFEFF, 0xFEFF),
    (0xFFF9, 0xFFFC),
)  # fmt: skip
_CHARACTER_FIXES = str.maketrans(
    dict.fromkeys(_SINGLE_QUOTES, "'")
    | dict.fromkeys(_DOUBLE_QUOTES, '"')
    | {c: unicodedata.normalize("NFKC", c) for c in _LIGATURES + _FULL_AND_HALF_WIDTH}
    | dict.fromkeys(_INVISIBLE, "")
)


def clean(text: str) -> str:
    """Returns ``text`` as CLIP reads it: unescaped, plain characters, single spaces, lower case.

    HTML entities are unescaped twice, curly quotes become straight, ligatures and full-width
    letters become plain ones, control characters go, and the result is in Unicode's composed form
    (NFC). CLIP's own code leaves these repairs to the ftfy library, which also guesses at text that
    was decoded with the wrong encoding ("â€™" for an apostrophe). Such text is kept as it is here:
    a guess may be wrong, and description files are checked to be UTF-8 when they are read.
    """
    text = html.unescape(html.unescape(text)).translate(_CHARACTER_FIXES)
    return " ".join(unicodedata.normalize("NFC", text).split()).lower()


def tokenize(texts: Sequence[str], context_length: int = CONTEXT_LENGTH) -> np.ndarray:
    """Encodes texts as rows of token ids: start token, text, end token, then zeros.

    A text that is too long is cut so that the last token of its row is the end token. The end token
    is the largest id and occurs once in each row: the text tower finds its position by that.

    Args:
      texts: N texts, each with something other than white space in it.
      context_length: length of a row, at least 3.

    Returns:
      int32 array (N, context_length).

    Raises:
      TypeError: ``texts`` is a single string, or one of them is not a string.
      ValueError: a text is empty, is not valid Unicode or holds one of CLIP's reserved words; or
        ``context_length`` is too small. The message gives the index of the text.
    """
    if isinstance(texts, str):
        raise TypeError(f"texts must be a list of strings, got the single string {texts!r}")
    if context_length < 3:
        raise UserError(
            "context_length must be at least 3 (start token, text, end token), "
            f"got {context_length}"
        )
    cleaned = [_checked_clean(text, index) for index, text in enumerate(texts)]
    encodings = _tokenizer().encode_batch(cleaned)
    tokens = np.full((len(cleaned), context_length), PADDING, np.int32)
    for row, encoding in zip(tokens, encodings, strict=True):
        ids = [START_TOKEN, *encoding.ids[: context_length - 2], END_TOKEN]
        row[: len(ids)] = ids
    return tokens


def decode(ids: Iterable[int]) -> str:
    """Returns the cleaned text of one row of token ids, with a space after every word.

    Reading stops at the end token. Bytes that are not valid UTF-8, as truncation may leave them,
    become U+FFFD.
    """
    text_ids = []
    for token in map(int, ids):
        if token == END_TOKEN:
            break
        if token != START_TOKEN:
            text_ids.append(token)
    return _tokenizer().decode(text_ids).replace("</w>", " ").strip()


def _checked_clean(text: str, index: int) -> str:
    if not isinstance(text, str):
        raise TypeError(f"text {index} must be a string, got {type(text).__name__}: {text!r}")
    cleaned = clean(text)
    if not cleaned:
        raise UserError(f"text {index} is empty: {text!r}")
    try:
        cleaned.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"text {index} is not valid Unicode (lone surrogate at character {error.start}): "
            f"{text!r}"
        ) from error
    for word in _RESERVED:
        # CLIP would end the text here, without a word, and its feature with it.
        if word in cleaned:
            raise UserError(f"text {index} holds {word}, which CLIP reserves: remove it")
    return cleaned


@functools.cache
def _tokenizer() -> Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    table = importlib.resources.files("animal_clip_jax.text") / "data" / "clip_merges.txt.gz"
    lines = gzip.decompress(table.read_bytes()).decode("utf-8").splitlines()
    merges = [(left, right) for left, right in map(str.split, lines)]
    # Ids in CLIP's order: the 256 bytes (each as a printable character), the same ending a word,
    # then one id a merge. In order of code point the byte characters are in CLIP's order too.
    byte_characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [
        *byte_characters,
        *(character + "</w>" for character in byte_characters),
        *(left + right for left, right in merges),
    ]
    model = models.BPE(
        vocab={word: index for index, word in enumerate(words)},
        merges=merges,
        end_of_word_suffix="</w>",
    )
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
