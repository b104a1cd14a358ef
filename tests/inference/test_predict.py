"""The lines that a prediction prints."""

import numpy as np
import pytest

from animal_clip_jax.inference.answers import Answer, Prediction
from animal_clip_jax.inference.predict import as_text

ACTIONS = [Prediction("Walking", 0.9666), Prediction("Resting", 0.03), Prediction("Eating", 0.0034)]
MANY = [Prediction(f"animal {number}", 0.001) for number in range(1000)]


@pytest.mark.parametrize(
    ("source", "animals", "expected"),
    [
        ("none", [], "animals: not given to the model"),
        ("given", [("Zebra", 1.0), ("Lion", 1.0)], "animals: Zebra, Lion (given)"),
        (
            "learned",
            [("Leopard", 0.993), ("Macaque", 0.0051), ("Tufted deer", 0.0049), ("Panda", 1e-9)],
            "animals: Leopard 99%, Macaque 1% (recognised, linear probe)",
        ),
        ("predicted", MANY, "animals: animal 0 less than 1% (recognised, zero-shot)"),
    ],
)
def test_animals(source, animals, expected):
    answer = Answer(ACTIONS, [Prediction(*animal) for animal in animals], source, np.zeros(4))
    animals_line, *actions = as_text(answer, top_k=2).splitlines()
    assert animals_line == expected
    assert actions == [" 96.66%  Walking", "  3.00%  Resting"]


def test_a_note_is_the_last_line():
    answer = Answer(ACTIONS, [], "none", np.zeros(4), note="the video has 1 frame")
    assert as_text(answer, top_k=1).splitlines()[-1] == "note: the video has 1 frame"
