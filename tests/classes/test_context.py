"""The class context of any labels, of both families of models."""

import dataclasses

import jax
import numpy as np
import pytest
import small_tower
import tiny
from flax import nnx

from animal_clip_jax.classes.context import class_context
from animal_clip_jax.models import parameters
from animal_clip_jax.models.description import build
from animal_clip_jax.parallel.mesh import AXES, make_mesh
from animal_clip_jax.text.tokenizer import tokenize
from configs import default

MESH = make_mesh(dict.fromkeys(AXES, 1), jax.devices()[:1])
ACTIONS, ANIMALS = ["Flying", "Building a nest"], ["Zebra", "Crane", "Okapi"]
RELATION = np.array([[0, 1, 0], [1, 1, 0]])


def prompts(cache, **fields):
    options = default.get_config().prompts
    options.update({"cache": str(cache), **fields})
    return options


@pytest.mark.parametrize("family", ["animal_clip", "xclip"])
def test_descriptions_of_actions_and_names_of_animals(family, tmp_path):
    description = dataclasses.replace(
        tiny.description(family), architecture=small_tower.ARCHITECTURE
    )
    graphdef, abstract = parameters.abstract(lambda: build(description, rngs=nnx.Rngs(0)))
    values = tiny.random_parameters(abstract)
    texts = ["It glides.", "It flaps its wings.", "It carries twigs.", "It weaves grass."]
    path = tmp_path / "actions.csv"
    names = np.repeat(ACTIONS, 2)
    path.write_text("action,text\n" + "".join(map("{},{}\n".format, names, texts)))
    said = []
    arguments = (graphdef, values, ACTIONS, ANIMALS, RELATION)
    options = prompts(tmp_path / "cache", actions=str(path), pooling="mean")
    found = class_context(*arguments, prompts=options, mesh=MESH, say=said.append)
    assert said == ["actions: encoding 4 texts", "animals: encoding 3 texts"]

    tower = parameters.merge(graphdef, jax.tree.map(jax.numpy.asarray, values)).text
    expected = np.asarray(tower(tokenize(texts))).reshape(2, 2, -1).mean(axis=1)
    np.testing.assert_allclose(found.action_features, expected, rtol=1e-5, atol=1e-6)
    expected = tower(tokenize(ANIMALS))
    np.testing.assert_allclose(found.animal_features, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.relation, RELATION)
    assert {array.dtype for array in found} == {np.dtype(np.float32)}

    again = class_context(*arguments, prompts=options, mesh=MESH)
    assert [array.tobytes() for array in again] == [array.tobytes() for array in found]


def test_what_does_not_fit_the_labels(tmp_path):
    path = tmp_path / "actions.csv"
    path.write_text("action,text\nFlying,It flies.\n")
    arguments = (*small_tower.model(), ACTIONS, ANIMALS)
    with pytest.raises(ValueError, match="actions.csv: no text for 1 of the 2 .*'Building a nest'"):
        class_context(*arguments, RELATION, prompts=prompts("none", actions=str(path)), mesh=MESH)
    with pytest.raises(ValueError, match=r"has shape \(3, 2\); expected .* = \(2, 3\)"):
        class_context(*arguments, RELATION.T, prompts=prompts("none"), mesh=MESH)


def test_no_cache_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = small_tower.model()
    class_context(*model, ACTIONS, ANIMALS, RELATION, prompts=prompts("none"), mesh=MESH)
    assert not list(tmp_path.iterdir())
    class_context(*model, ACTIONS, ANIMALS, RELATION, prompts=prompts(""), mesh=MESH)
    assert len(list((tmp_path / "animal_clip_jax" / "class_features").iterdir())) == 2
