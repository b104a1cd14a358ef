"""Names of actions as tokens between learned vectors."""

import dataclasses

import numpy as np
import pytest

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.video_prompt import VIDEO_PROMPT_ARCHITECTURES
from animal_clip_jax.text.class_names import name_tokens
from animal_clip_jax.text.tokenizer import END_TOKEN, tokenize

ARCHITECTURE = VIDEO_PROMPT_ARCHITECTURES["tiny"]  # 16 vectors on either side


def test_rows_are_as_long_as_the_longest_name():
    names = ["eating", "walking in water"]
    tokens = name_tokens(names, ARCHITECTURE)
    assert tokens.shape == (2, 5)
    np.testing.assert_array_equal(tokens, tokenize(names)[:, :5])


@pytest.mark.parametrize("words", [43, 44, 90, 1000])
def test_names_that_do_not_fit(words):
    """43 tokens do: 77 positions, less 32 learned, start and end."""
    names = ["eating", " ".join(["fox"] * words), "running"]
    if words == 43:
        assert name_tokens(names, ARCHITECTURE)[1, 44] == END_TOKEN
        return
    counted = min(words, 768)
    with pytest.raises(UserError, match=rf"'fox fox.*\({counted} tokens\); at most 43 fit"):
        name_tokens(names, ARCHITECTURE)


def test_the_smaller_the_prompt_the_longer_the_names():
    names = [" ".join(["fox"] * 60)]
    assert name_tokens(names, dataclasses.replace(ARCHITECTURE, prefix=4, suffix=4)).any()
