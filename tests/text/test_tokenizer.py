"""CLIP's tokenizer against two other implementations and against ids of the original."""

import functools
import gzip
import importlib.resources
import subprocess
import sys

import instant_clip_tokenizer
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from animal_clip_jax.text import tokenizer

# What OpenAI's own tokenizer (with ftfy) gives, without the start and end tokens.
ORIGINAL_IDS = {
    "a photo of a cat": [320, 1125, 539, 320, 2368],
    "Russell's Viper": [8150, 568, 27401],
    "Russell’s  Viper\n": [8150, 568, 27401],
    "Portuguese Man O'War": [18019, 786, 334, 262, 2238],
    "IT'S they'LL we're": [585, 568, 889, 1342, 649, 982],
    "3.5 kg in 2021": [274, 269, 276, 7817, 530, 273, 271, 273, 272],
    "café naïve Ñandú": [15304, 1097, 35689, 563, 6445, 672, 36019],
    "cafe\u0301": [15304],
    "“calls”, it said…": [257, 4572, 4332, 585, 1946, 959],
    "cats &amp;amp; dogs &lt;3": [3989, 261, 3255, 283, 274],
    "\ufb01sh \uff21\uff22\uff23\ufeff": [2759, 5334],
    "🐍🦅 snake": [48903, 28800, 8798],
    "猫と犬": [163, 234, 104, 34671, 163, 232, 361],
    "ΣΊΣΥΦΟΣ": [139, 225, 138, 107, 139, 225, 139, 227, 139, 228, 138, 123, 139, 480],
    "'ſ": [6, 129, 379],
    "!!!???...": [11194, 5195, 22641],
    "ẞtraße İstanbul": [127, 253, 752, 127, 253, 324, 328, 16384, 11231],
    "don\u200bt": [847, 9844, 339],
}

SCRIPTS = st.one_of(
    st.characters(max_codepoint=0x2FF, exclude_categories=("C",)),  # Latin, with accents
    st.characters(min_codepoint=0x370, max_codepoint=0x4FF, exclude_categories=("C",)),
    st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF, exclude_categories=("C",)),
    st.characters(min_codepoint=0x1F300, max_codepoint=0x1F64F, exclude_categories=("C",)),
    st.characters(exclude_categories=("C",)),
)
FRAGMENTS = st.one_of(
    st.sampled_from(
        ["Russell's Viper", "it'S", "we'll", "they're", "I'd", "''s", "'t", "...", "!?", "12.5 kg"]
        + ["Keeping still", "Being Carried In Mouth", " ", "\n\t", "&amp;", "’s", "“calls”", "<|"]
    ),
    st.text(SCRIPTS, max_size=8),
)
# The long s after an apostrophe is left out: the original takes 'ſ for a contraction, as it
# compares without regard to case; the two other implementations do not.
TEXTS = (
    st.lists(FRAGMENTS, min_size=1, max_size=10)
    .map("".join)
    .filter(lambda text: tokenizer.clean(text) and "'ſ" not in tokenizer.clean(text))
)


def ids_of(text: str) -> list[int]:
    """The ids between the start and the end token."""
    row = tokenizer.tokenize([text], context_length=4096)[0].tolist()
    return row[1 : row.index(tokenizer.END_TOKEN)]


@functools.cache
def rust_tokenizer():
    """instant-clip-tokenizer: its own code and its own copy of the merges."""
    return instant_clip_tokenizer.Tokenizer()


@functools.cache
def hugging_face_tokenizer():
    """transformers' CLIPTokenizer on the same merges, with its own order of the bytes."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    data = importlib.resources.files("animal_clip_jax.text") / "data" / "clip_merges.txt.gz"
    merges = [
        tuple(line.split(" "))
        for line in gzip.decompress(data.read_bytes()).decode().removesuffix("\n").split("\n")
    ]
    byte_characters = list(bytes_to_unicode().values())
    words = byte_characters + [character + "</w>" for character in byte_characters]
    words += ["".join(merge) for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    assert len(words) == 49408
    return CLIPTokenizer({word: index for index, word in enumerate(words)}, merges)


@pytest.mark.parametrize(("text", "expected"), ORIGINAL_IDS.items())
def test_ids_of_the_original(text, expected):
    assert ids_of(text) == expected


@settings(max_examples=300)
@given(TEXTS)
@example("Russell's Viper, Portuguese Man O'War")
@example("the 3rd cat's 12 kittens... “meow” 🐈")
def test_agrees_with_two_other_implementations(text):
    cleaned = tokenizer.clean(text)
    ids = ids_of(text)
    assert ids == rust_tokenizer().encode(cleaned)
    assert ids == hugging_face_tokenizer()(cleaned, add_special_tokens=False)["input_ids"]


def test_rows_agree_with_another_implementation_when_padded_and_when_cut():
    texts = ["short", "seven words are enough for eight tokens", "very " * 100 + "long"]
    for context_length in (3, 8, 77):
        tokens = tokenizer.tokenize(texts, context_length)
        expected = rust_tokenizer().tokenize_batch(texts, context_length)
        assert tokens.dtype == np.int32
        np.testing.assert_array_equal(tokens, expected)


@settings(max_examples=100)
@given(TEXTS, st.integers(3, 90))
def test_row_layout(text, context_length):
    (row,) = tokenizer.tokenize([text], context_length)
    end = int(row.argmax())
    assert row.shape == (context_length,)
    assert row[0] == tokenizer.START_TOKEN
    assert row[end] == tokenizer.END_TOKEN
    assert np.count_nonzero(row == tokenizer.END_TOKEN) == 1
    assert not row[end + 1 :].any()


@settings(max_examples=100)
@given(TEXTS)
def test_decode_gives_the_text_back_up_to_spaces(text):
    decoded = tokenizer.decode(tokenizer.tokenize([text], 4096)[0])
    assert decoded.replace(" ", "") == tokenizer.clean(text).replace(" ", "")


def test_decode_separates_words():
    assert tokenizer.decode(tokenizer.tokenize(["Grooming  itself"])[0]) == "grooming itself"


def test_no_texts_give_no_rows():
    assert tokenizer.tokenize([]).shape == (0, 77)


@pytest.mark.parametrize("text", ["", " \n\t", "\ufeff", "&nbsp;"])
def test_empty_text_is_refused_with_its_index(text):
    with pytest.raises(ValueError, match=r"^text 1 is empty: "):
        tokenizer.tokenize(["fine", text])


@pytest.mark.parametrize("word", ["<|endoftext|>", "<|StartOfText|>", "&lt;|endoftext|&gt;"])
def test_reserved_words_are_refused(word):
    with pytest.raises(ValueError, match=r"^text 0 holds <\|\w+\|>, which CLIP reserves"):
        tokenizer.tokenize([f"a cat {word} eats"])


def test_invalid_unicode_is_refused():
    with pytest.raises(ValueError, match=r"^text 0 is not valid Unicode .*character 4"):
        tokenizer.tokenize(["cat \ud800"])


@pytest.mark.parametrize("text", [None, b"cat", 3])
def test_other_than_a_string_is_refused(text):
    with pytest.raises(TypeError, match="text 1 must be a string, got "):
        tokenizer.tokenize(["fine", text])


def test_single_string_is_refused():
    with pytest.raises(TypeError, match="list of strings"):
        tokenizer.tokenize("a cat")


def test_row_too_short_for_a_token_is_refused():
    with pytest.raises(ValueError, match="context_length must be at least 3 .* got 2"):
        tokenizer.tokenize(["cat"], 2)


def test_import_loads_no_tokenizer_library():
    code = (
        "import sys, animal_clip_jax.text.tokenizer, animal_clip_jax.classes.descriptions; "
        "print(sorted({'tokenizers', 'transformers', 'torch', 'tensorflow'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
