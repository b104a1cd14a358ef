"""Class contexts for other labels than those of the training."""

import numpy as np
import pytest
import small_tower
import tiny
from hypothesis import given
from hypothesis import strategies as st

from animal_clip_jax.classes.context import text_tower
from animal_clip_jax.classes.vocabulary import (
    Labels,
    carry_over,
    check_labels,
    context_of_labels,
    names_or,
)
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.text.tokenizer import tokenize

labels = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(labels, labels, labels, labels)
def test_a_value_goes_with_its_names(rows, columns, new_rows, new_columns):
    table = np.arange(1, 1 + len(rows) * len(columns)).reshape(len(rows), len(columns))
    found = carry_over(table, rows, columns, new_rows, new_columns)
    value = {(r, c): table[i, j] for i, r in enumerate(rows) for j, c in enumerate(columns)}
    expected = [[value.get((r, c), 0) for c in new_columns] for r in new_rows]
    np.testing.assert_array_equal(found, np.reshape(expected, found.shape))


TRAINED_LABELS = Labels(("Walking", "Eating"), ("Zebra", "Fox"))
RANDOM = np.random.default_rng(0)
# Not what any text would give, so that what is kept can be told from what is encoded.
TRAINED = ClassContext(
    action_features=RANDOM.normal(size=(2, tiny.EMBED)).astype(np.float32),
    animal_features=RANDOM.normal(size=(2, tiny.EMBED)).astype(np.float32),
    relation=np.array([[1, 1], [0, 1]], np.float32),  # Walking: both; Eating: the fox
)
LABELS = Labels(("Grooming", "Walking"), ("Okapi", "Zebra", "Fox"))
NAMES = {"actions": "names", "animals": "names"}


@pytest.fixture(scope="module")
def tower():
    return text_tower(small_tower.ARCHITECTURE, small_tower.model()[1])


def make(tower, labels=LABELS, **arguments) -> tuple[ClassContext, list[str]]:
    said: list[str] = []
    arguments = {"sources": NAMES, "trained_sources": NAMES, **arguments}
    context = context_of_labels(
        tower, TRAINED, TRAINED_LABELS, Labels(*labels), say=said.append, **arguments
    )
    return context, said


def encoded(tower, *texts: str) -> np.ndarray:
    return np.asarray(tower(tokenize(texts)))


def assert_close(found, expected) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_known_names_keep_their_features_and_others_are_encoded(tower):
    context, said = make(tower)
    np.testing.assert_array_equal(context.action_features[1], TRAINED.action_features[0])
    np.testing.assert_array_equal(context.animal_features[1:], TRAINED.animal_features)
    assert_close(context.action_features[0], encoded(tower, "Grooming")[0])
    assert_close(context.animal_features[0], encoded(tower, "Okapi")[0])
    assert {array.dtype for array in context} == {np.dtype(np.float32)}
    assert said[1:] == ["actions: encoding 1 texts", "animals: encoding 1 texts"]


def test_relations_that_training_showed_are_kept(tower):
    context, said = make(tower)
    np.testing.assert_array_equal(context.relation, [[0, 0, 0], [0, 1, 1]])
    assert "relation graph: 2 of the training's 3 edges" in said[0]


def test_another_order_of_the_labels(tower):
    """Nothing is encoded, and everything goes with its name."""
    context, said = make(tower, (("Eating", "Walking"), ("Fox", "Zebra")))
    np.testing.assert_array_equal(context.action_features, TRAINED.action_features[::-1])
    np.testing.assert_array_equal(context.animal_features, TRAINED.animal_features[::-1])
    np.testing.assert_array_equal(context.relation, TRAINED.relation[::-1, ::-1])
    assert not any("encoding" in note for note in said)


def test_an_order_that_mixes_known_and_unknown(tower):
    context, _ = make(tower, (("Okay", "Eating", "Resting"), ("Fox", "Owl")))
    assert_close(context.action_features[[0, 2]], encoded(tower, "Okay", "Resting"))
    np.testing.assert_array_equal(context.action_features[1], TRAINED.action_features[1])
    np.testing.assert_array_equal(context.animal_features[0], TRAINED.animal_features[1])
    assert_close(context.animal_features[1], encoded(tower, "Owl")[0])
    np.testing.assert_array_equal(context.relation, [[0, 0], [1, 0], [0, 0]])


def test_no_animals(tower):
    context, _ = make(tower, (("Grooming",), ()))
    assert context.animal_features.shape == (0, tiny.EMBED) and context.relation.shape == (1, 0)


def test_a_model_that_is_never_told_the_animals(tower):
    """Its training names them, and keeps nothing of them."""
    without = TRAINED._replace(
        animal_features=TRAINED.animal_features[:0], relation=TRAINED.relation[:, :0]
    )
    arguments = {"sources": NAMES, "trained_sources": NAMES, "say": lambda _: None}
    context = context_of_labels(tower, without, TRAINED_LABELS, LABELS, **arguments)
    assert_close(context.action_features[1], TRAINED.action_features[0])
    assert context.animal_features.shape == (0, tiny.EMBED) and context.relation.shape == (2, 0)


def test_texts_from_elsewhere_replace_those_of_the_training(tower, tmp_path):
    path = tmp_path / "actions.csv"
    path.write_text("action,text\nGrooming,It grooms.\nWalking,It walks slowly.\n")
    context, _ = make(tower, sources={"actions": str(path), "animals": "names"})
    assert_close(context.action_features, encoded(tower, "It grooms.", "It walks slowly."))
    np.testing.assert_array_equal(context.animal_features[1:], TRAINED.animal_features)
    path.write_text("action,text\nGrooming,It grooms.\n")
    with pytest.raises(ValueError, match="actions.csv: no text for 1 of the 2 .*'Walking'"):
        make(tower, sources={"actions": str(path), "animals": "names"})


def test_a_file_of_the_training_that_describes_more(tower, tmp_path):
    """Of its own actions, what the training made of them counts."""
    path = tmp_path / "actions.csv"
    path.write_text("action,text\nWalking,It walks.\nEating,It eats.\nGrooming,It grooms.\n")
    sources = {"actions": str(path), "animals": "names"}
    context, _ = make(tower, sources=sources, trained_sources=sources)
    assert_close(context.action_features[0], encoded(tower, "It grooms.")[0])
    np.testing.assert_array_equal(context.action_features[1], TRAINED.action_features[0])


def test_descriptions_may_be_given(tower):
    """Of labels known and unknown, as many texts for each as one likes."""
    descriptions = {
        "Grooming": ["It licks its fur.", "It combs its feathers.", "It scratches."],
        "Walking": ["It walks slowly."],
        "Zebra": ["A horse with stripes.", "It is black and white."],
    }
    context, said = make(tower, descriptions=descriptions)
    texts = encoded(tower, *descriptions["Grooming"], *descriptions["Walking"])
    assert_close(context.action_features, [texts[:3].max(axis=0), texts[3]])
    zebra = encoded(tower, *descriptions["Zebra"]).max(axis=0)
    assert_close(context.animal_features[:2], [encoded(tower, "Okapi")[0], zebra])
    np.testing.assert_array_equal(context.animal_features[2], TRAINED.animal_features[1])
    assert said[1:] == ["actions: encoding 4 texts", "animals: encoding 3 texts"]
    # What is known of them otherwise stays.
    np.testing.assert_array_equal(context.relation, [[0, 0, 0], [0, 1, 1]])

    mean, _ = make(tower, descriptions=descriptions, pooling="mean")
    assert_close(mean.action_features, [texts[:3].mean(axis=0), texts[3]])


def test_what_is_described_is_not_looked_up(tower, tmp_path):
    path = tmp_path / "actions.csv"
    path.write_text("action,text\nWalking,It walks.\nEating,It eats.\n")
    sources = {"actions": str(path), "animals": "names"}
    context, _ = make(
        tower,
        sources=sources,
        trained_sources=sources,
        descriptions={"Grooming": ["It grooms."]},
    )
    assert_close(context.action_features[0], encoded(tower, "It grooms.")[0])
    np.testing.assert_array_equal(context.action_features[1], TRAINED.action_features[0])
    with pytest.raises(
        ValueError, match=r"no text for 1 of the 3 classes: 'Grooming'\); describe it"
    ):
        make(tower, sources=sources, trained_sources=sources)
    path.unlink()  # a run needs it no more
    with pytest.raises(ValueError, match=r"'Grooming' is not \(there is no description file at"):
        make(tower, sources=sources, trained_sources=sources)


@pytest.mark.parametrize(
    ("descriptions", "message"),
    [
        ({"Groming": ["It grooms."]}, "'Groming' is not one of the labels; did you mean Grooming"),
        ({"Grooming": "It grooms."}, "a list of texts of 'Grooming', found 'It grooms.'"),
        ({"Grooming": []}, r"a list of texts of 'Grooming', found \[\]"),
        ({"Grooming": None}, "a list of texts of 'Grooming', found None"),
        ({"Fox": ["It is red.", " "]}, "text 2 of 2 of 'Fox' is ' '; expected a sentence"),
        ({"Fox": [3]}, "text 1 of 1 of 'Fox' is 3; expected a sentence"),
    ],
)
def test_descriptions_that_cannot_be(tower, descriptions, message):
    with pytest.raises(ValueError, match=message):
        make(tower, descriptions=descriptions)


def test_relations_may_be_given(tower):
    given = np.array([[1, 0, 1], [1, 0, 0]])
    context, said = make(tower, relation=given)
    np.testing.assert_array_equal(context.relation, given)
    assert context.relation.dtype == np.float32
    assert not any("relation" in note for note in said)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((("Walking", "Eating", "Walking"), ()), "the action 'Walking' is given more than once"),
        (((), ("Fox", "Fox")), "the animal 'Fox' is given more than once"),
        ((("Walking", ""), ()), "the name of action 2 of 2 is empty"),
        (((), (" \t",)), "the name of animal 1 of 1 is empty"),
        (((), ("Fox", 3)), "the animal 2 of 2 is 3; expected a name"),
        ((("Walking", "Crane"), ("Crane",)), "'Crane' is given as an action and as an animal"),
    ],
)
def test_labels_that_cannot_be_told_apart(tower, labels, message):
    with pytest.raises(ValueError, match=message):
        check_labels(Labels(*labels))
    with pytest.raises(ValueError, match=message):
        make(tower, labels)


def test_labels_that_can():
    check_labels(LABELS)
    check_labels(Labels((), ()))
    check_labels(Labels(("walking", "Walking"), ("Fox", "fox")))


def test_names_from_a_file_or_those_given(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("Owl\n\nOkapi\n")
    assert names_or(str(path), ("Fox",)) == ("Owl", "Okapi")
    assert names_or("", ["Fox"]) == ("Fox",)
    with pytest.raises(FileNotFoundError, match="absent.txt"):
        names_or(str(tmp_path / "absent.txt"), ())
