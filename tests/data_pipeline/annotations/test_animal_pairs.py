"""Animal Kingdom's lists of pairs, which look like Python and are not."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.annotations.animal_pairs import parse_pairs, read_pairs
from data_pipeline.annotations.record import AnnotationError

# Letters, spaces and what else is in the published names: apostrophes, slashes, hyphens, brackets.
NAMES = st.from_regex(
    r"[A-Z][a-z]{1,6}('s|'War)?( / | |-)?([A-Z][a-z]{1,6})?( \([a-z]+\))?", fullmatch=True
)
ACTIONS = st.from_regex(r"[A-Z][a-z]{1,8}( [a-z]{1,5})?(-[a-z]{1,5})?", fullmatch=True)
PAIRS = st.lists(st.tuples(NAMES.map(str.strip), ACTIONS), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("[('Common Crane', 'Attending')]", [("Common Crane", "Attending")]),
        ("[('Russell's Viper', 'Keeping still')]", [("Russell's Viper", "Keeping still")]),
        (
            "[('Fish', 'Immobilized'), (Portugese Man O'War', 'Keeping still')]",
            [("Fish", "Immobilized"), ("Portugese Man O'War", "Keeping still")],
        ),
        ("[(Portugese Man O'War', 'Keeping still')]", [("Portugese Man O'War", "Keeping still")]),
        (
            """[("Geoffroy's Cat", 'Eating'), ('Frog / Toad', 'Moving')]""",
            [("Geoffroy's Cat", "Eating"), ("Frog / Toad", "Moving")],
        ),
        (r"""[('Russell\'s Viper', 'Moving')]""", [("Russell's Viper", "Moving")]),
        # Lists inside of text inside of a list, as some cells of the workbook hold them.
        (r"""["[('Russell'S Viper', 'Moving')]"]""", [("Russell'S Viper", "Moving")]),
        (r"""['[("Russell\'S Viper", "Moving")]']""", [("Russell'S Viper", "Moving")]),
    ],
)
def test_names_that_break_python_are_read(text, pairs):
    assert parse_pairs(text, "line 1") == pairs


@given(PAIRS)
def test_the_published_way_of_writing_is_undone(pairs):
    text = "[" + ", ".join(f"('{animal}', '{action}')" for animal, action in pairs) + "]"
    assert parse_pairs(text, "line 1") == pairs


@given(PAIRS)
def test_python_lists_are_read_as_python_reads_them(pairs):
    assert parse_pairs(repr(pairs), "line 1") == ast.literal_eval(repr(pairs))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "nothing",
        "[('Lion')]",
        "[('Lion', 'Resting'), ('Lion')]",
        "[('Lion' 'Resting'), ('Puma', 'Eating')]",
        "[('Lion), ('Puma', 'Eating')]",
        "[('Lion', 'Resting'), and more]",
        "[('Lion', 'Resting'), ('Puma', 'Eating'",
        "[('', 'Resting')]",
        "[('Lion', '')]",
    ],
)
def test_what_is_not_a_list_of_pairs_is_refused_with_its_place(text):
    with pytest.raises(AnnotationError, match="train.txt, line 7: expected pairs"):
        parse_pairs(text, "train.txt, line 7")


@given(PAIRS, st.integers(0, 400))
def test_a_list_that_is_cut_short_loses_no_pair_in_silence(pairs, length):
    text = "[" + ", ".join(f"('{animal}', '{action}')" for animal, action in pairs) + "]"
    cut = text[: min(length, len(text) - 2)]
    try:
        found = parse_pairs(cut, "line 1")
    except AnnotationError:
        return
    # What was left happens to be a whole list.
    assert found == pairs[: len(found)]
    assert len(found) == cut.count("')")


@pytest.mark.parametrize(
    "text",
    [
        "[('Lion', 'Resting')",
        "('Lion', 'Resting')]",
        "('Lion', 'Resting')",
        "[('Lion', 'Resting')] ]",
    ],
)
def test_a_list_that_lacks_a_bracket_is_said(text):
    pairs, wrong = read_pairs(text, "here")
    assert pairs == [("Lion", "Resting")]
    assert wrong == [("bracket missing", text, "Lion: Resting")]
    assert read_pairs("[('Lion', 'Resting')]", "here")[1] == []
