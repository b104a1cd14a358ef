"""Class contexts for other labels than those of the training."""

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import ConfigDict

from animal_clip_jax.classes.vocabulary import carry_over, class_context_of_labels
from animal_clip_jax.models.classes import ClassContext
from animal_clip_jax.parallel.mesh import make_mesh
from configs import default

labels = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(labels, labels, labels, labels)
def test_a_value_goes_with_its_names(rows, columns, new_rows, new_columns):
    table = np.arange(1, 1 + len(rows) * len(columns)).reshape(len(rows), len(columns))
    found = carry_over(table, rows, columns, new_rows, new_columns)
    value = {(r, c): table[i, j] for i, r in enumerate(rows) for j, c in enumerate(columns)}
    expected = [[value.get((r, c), 0) for c in new_columns] for r in new_rows]
    np.testing.assert_array_equal(found, np.reshape(expected, found.shape))


ACTIONS, ANIMALS = ("Grooming", "Walking"), ("Okapi", "Zebra", "Fox")


@pytest.fixture
def made():
    """A function that makes the context of other labels with a tiny model, and what it said."""
    graphdef, values = tiny.model()
    # The real tokenizer's ids need the whole vocabulary.
    rows = np.random.default_rng(0).normal(size=(49408, values["text.token_embedding"].shape[1]))
    values["text.token_embedding"] = rows.astype(np.float32)
    trained = ClassContext(
        action_features=np.zeros((2, tiny.EMBED), np.float32),
        animal_features=np.zeros((2, tiny.EMBED), np.float32),
        relation=np.array([[1, 1], [0, 1]], np.float32),  # Walking: both; Eating: the fox
    )

    def make(config: ConfigDict) -> tuple[ClassContext, list[str]]:
        said: list[str] = []
        context = class_context_of_labels(
            config,
            graphdef,
            values,
            trained,
            trained_labels=(("Walking", "Eating"), ("Zebra", "Fox")),
            labels=(ACTIONS, ANIMALS),
            mesh=make_mesh({"data": -1, "fsdp": 1, "model": 1}),
            say=said.append,
        )
        return context, said

    return make


def test_relations_that_training_showed_are_kept(made):
    context, said = made(default.get_config())
    assert context.action_features.shape == (2, tiny.EMBED)
    assert context.animal_features.shape == (3, tiny.EMBED)
    np.testing.assert_array_equal(context.relation, [[0, 0, 0], [0, 1, 1]])
    assert "relation graph: 2 of the training's 3 edges" in said[0]


def test_relations_may_be_given(made, tmp_path):
    file = tmp_path / "relation.txt"
    file.write_text("Okapi\t[0, 1]\t2\nZebra\t[]\t0\nFox\t[0]\t1\n")
    config = default.get_config()
    config.relation.file = str(file)
    context, said = made(config)
    np.testing.assert_array_equal(context.relation, [[1, 0, 1], [1, 0, 0]])
    assert f"3 edges, from {file}" in said[0]
    file.write_text("Gnu\t[0]\t1\n")
    with pytest.raises(ValueError, match="line 1.*'Gnu'"):
        made(config)
