"""What is drawn into frames."""

import dataclasses
import glob

import numpy as np
import pytest
from made_media import ACTIONS, HEADER, result_of

from animal_clip_jax.inference.media.drawing import COLOURS, Overlay, enlargement
from animal_clip_jax.inference.media.fonts import Lettering
from animal_clip_jax.inference.results import Bout

SIZE = (360, 640)
BLANK = np.zeros((*SIZE, 3), np.uint8)


def overlay(result, size=SIZE):
    return Overlay(result, HEADER, result.bouts, size, Lettering())


@pytest.fixture
def result(kinds):
    """Of 5.17 s, in whose windows one action has all the probability."""
    found = result_of(kinds["broken"])
    actions = np.zeros_like(found.windows.actions)
    actions[:, 1] = 1
    windows = dataclasses.replace(found.windows, actions=actions)
    media = dataclasses.replace(found.media, duration=4.0)
    bouts = (Bout(0.0, 2.0, ACTIONS[1], "", 0.9), Bout(2.0, 4.0, ACTIONS[0], "", 0.9))
    return dataclasses.replace(found, windows=windows, media=media, bouts=bouts)


def test_the_line_of_bouts_has_their_colours_and_shows_the_time(result):
    # Of equally long ones the first by name has the first colour.
    for seconds, place in ((1.0, 160), (3.0, 479)):
        line = overlay(result).draw(BLANK, seconds)[-3]
        np.testing.assert_array_equal(line[20], COLOURS[0])
        np.testing.assert_array_equal(line[-20], COLOURS[1])
        assert (line[place] == 255).all() and (line[638 - place] != 255).any()


def test_the_bar_is_as_long_as_the_probability(result):
    drawn = overlay(result).draw(BLANK, 1.0)
    colour = np.array(COLOURS[0])
    longest = max(int((row == colour).all(axis=1).sum()) for row in drawn[:150])
    actions = result.windows.actions / 2
    half = dataclasses.replace(result, windows=dataclasses.replace(result.windows, actions=actions))
    shorter = overlay(half).draw(BLANK, 1.0)
    longest_of_half = max(int((row == colour).all(axis=1).sum()) for row in shorter[:150])
    assert longest > 200 and longest_of_half == pytest.approx(longest / 2, abs=2)


def test_the_rest_of_the_picture_is_not_touched(result):
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    drawn = overlay(result).draw(noise, 1.0)
    np.testing.assert_array_equal(drawn[200:340], noise[200:340])
    assert (drawn[20:80, 20:200] != noise[20:80, 20:200]).mean() > 0.9


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (900, 2), (32, 32), (159, 400), (160, 160)])
def test_any_size_can_be_drawn_into(result, size):
    factor = enlargement(size)
    drawn = overlay(result, size).draw(np.zeros((*size, 3), np.uint8), 1.0)
    assert drawn.shape == (size[0] * factor, size[1] * factor, 3)
    assert (factor == 1) == (min(size) >= 160) and min(drawn.shape[:2]) >= 160


def test_a_text_is_written_in_a_font_that_has_it():
    lettering = Lettering()
    assert lettering.name("Füchse graben", "action 1") == "Füchse graben"
    # Pillow has no Greek, DejaVu has; none of those that are looked for has pictures.
    greek = any(
        "DejaVuSans.ttf" in path for path in glob.glob("/usr/share/fonts/**", recursive=True)
    )
    assert lettering.name("Αλεπού", "action 2") == ("Αλεπού" if greek else "action 2")
    assert lettering.name("\U0001f9ff\U0001f98a", "action 3") == "action 3"
    assert lettering.unwritable["\U0001f9ff\U0001f98a"] == "action 3"
