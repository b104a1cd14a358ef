"""Pages from templates: text stays text, and what is missing is an error."""

import jinja2
import pytest
from page_reader import Reader

from animal_clip_jax.pages.colours import COLOURS, colour
from animal_clip_jax.pages.rendering import page, policy_of

ROOM = "animal_clip_jax.pages"
HOSTILE = "</style></script><script>alert(1)</script>\"'&\n"


def test_an_empty_page_does_nothing():
    reader = Reader(page(ROOM, "base.html"))
    reader.check_is_inert()
    assert reader.scripts == [] and "media-src" not in reader.policy
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in [
        at for _, at in reader.elements
    ]


def test_one_script_may_run_and_videos_may_play():
    script = "document.title = 'a < b && c';"
    reader = Reader(page(ROOM, "base.html", script=script, plays_videos=True))
    reader.check_is_inert()
    assert reader.scripts == [script]
    assert reader.policy["media-src"] == "'self' file:"
    assert "unsafe-inline" not in reader.policy["script-src"]
    assert policy_of(script, plays_videos=False) != policy_of(script + " ", plays_videos=False)


def test_texts_of_others_are_texts():
    made = jinja2.Environment(
        loader=jinja2.PackageLoader(ROOM), autoescape=True, undefined=jinja2.StrictUndefined
    )
    template = made.from_string(
        '{% import "elements.html" as elements %}<main>'
        "{{ elements.table([x, x], [[x, x], [x, 'short']]) }}"
        "{{ elements.figure('data:,', x, x) }}{{ elements.matrix('data:,', x, x) }}"
        "{{ elements.contents({'one': x}) }}</main>"
    )
    reader = Reader(template.render(x=HOSTILE))
    assert "script" not in {tag for tag, _ in reader.elements}
    assert reader.words.count(HOSTILE) == 2 + 3 + 1 + 1
    assert [at["alt"] for tag, at in reader.elements if tag == "img"] == [HOSTILE] * 2
    boxes = reader.of_class("scroll")
    assert all(at["tabindex"] == "0" and at["role"] == "region" for at in boxes)


def test_a_variable_that_is_not_given_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        page("animal_clip_jax.inference.report", "list.html")


def test_colours_come_again():
    assert [colour(number) for number in range(2 * len(COLOURS))] == [*COLOURS, *COLOURS]
    assert len(set(COLOURS)) == len(COLOURS)
