"""The class context of any labels, of both families of models."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_tower
import tiny

from animal_clip_jax.classes.context import ClassTexts, class_context, text_tower
from animal_clip_jax.classes.features import class_texts
from animal_clip_jax.models import parameters
from animal_clip_jax.models.description import build
from animal_clip_jax.parallel.mesh import AXES, make_mesh
from animal_clip_jax.run import assembly, run_classes
from animal_clip_jax.run.start import as_published
from animal_clip_jax.text.tokenizer import tokenize
from configs import default
from data_pipeline.clip_index import load_index
from data_pipeline.dataset import load_info

MESH = make_mesh(dict.fromkeys(AXES, 1), jax.devices()[:1])
ACTIONS, ANIMALS = ["Flying", "Building a nest"], ["Zebra", "Crane", "Okapi"]
RELATION = np.array([[0, 1, 0], [1, 1, 0]])
NAMES = ClassTexts([[name] for name in ACTIONS], [[name] for name in ANIMALS])


def tower():
    return text_tower(small_tower.ARCHITECTURE, small_tower.model()[1])


@pytest.mark.parametrize("family", ["animal_clip", "xclip"])
def test_descriptions_of_actions_and_names_of_animals(family, tmp_path):
    description = dataclasses.replace(
        tiny.description(family), architecture=small_tower.ARCHITECTURE
    )
    graphdef, abstract = parameters.abstract(
        lambda: build(description, rngs=parameters.rngs_for_shapes())
    )
    values = tiny.random_parameters(abstract)
    texts = ["It glides.", "It flaps its wings.", "It carries twigs.", "It weaves grass."]
    path = tmp_path / "actions.csv"
    names = np.repeat(ACTIONS, 2)
    path.write_text("action,text\n" + "".join(map("{},{}\n".format, names, texts)))
    said = []
    arguments = (
        text_tower(small_tower.ARCHITECTURE, values),
        ClassTexts(
            class_texts(str(path), ACTIONS, "action"), class_texts("names", ANIMALS, "animal")
        ),
        RELATION,
    )
    options = {"pooling": "mean", "cache": str(tmp_path / "cache"), "mesh": MESH}
    found = class_context(*arguments, **options, say=said.append)
    assert said == ["actions: encoding 4 texts", "animals: encoding 3 texts"]

    tower = jax.jit(parameters.merge(graphdef, jax.tree.map(jnp.asarray, values)).text)
    expected = np.asarray(tower(tokenize(texts))).reshape(2, 2, -1).mean(axis=1)
    np.testing.assert_allclose(found.action_features, expected, rtol=1e-5, atol=1e-6)
    expected = tower(tokenize(ANIMALS))
    np.testing.assert_allclose(found.animal_features, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.relation, RELATION)
    assert {array.dtype for array in found} == {np.dtype(np.float32)}

    said.clear()
    again = class_context(*arguments, **options, say=said.append)
    assert [array.tobytes() for array in again] == [array.tobytes() for array in found]
    assert ["read from" in note for note in said] == [True, True]


def test_what_does_not_fit_the_labels(tmp_path):
    path = tmp_path / "actions.csv"
    path.write_text("action,text\nFlying,It flies.\n")
    config = default.get_config()
    config.prompts.actions = str(path)
    with pytest.raises(ValueError, match="actions.csv: no text for 1 of the 2 .*'Building a nest'"):
        run_classes.class_texts(config, ACTIONS, ANIMALS)
    with pytest.raises(ValueError, match=r"has shape \(3, 2\); expected .* = \(2, 3\)"):
        class_context(tower(), NAMES, RELATION.T, mesh=MESH)


def test_no_cache_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    class_context(tower(), NAMES, RELATION, cache="none", mesh=MESH)
    assert not list(tmp_path.iterdir())
    class_context(tower(), NAMES, RELATION, cache="", mesh=MESH)
    assert len(list((tmp_path / "animal_clip_jax" / "class_features").iterdir())) == 2


@pytest.mark.parametrize("missing", ["actions", "animals", "both"])
def test_no_classes_of_a_kind(missing):
    texts = ClassTexts(
        actions=NAMES.actions if missing == "animals" else [],
        animals=NAMES.animals if missing == "actions" else [],
    )
    shape = (len(texts.actions), len(texts.animals))
    found = class_context(tower(), texts, np.zeros(shape, np.float32), mesh=MESH)
    assert found.action_features.shape == (shape[0], tiny.EMBED)
    assert found.animal_features.shape == (shape[1], tiny.EMBED)
    assert found.relation.shape == shape
    assert {array.dtype for array in found} == {np.dtype(np.float32)}


def test_a_model_in_bfloat16_has_the_class_features_of_float32(data):
    """Bit for bit, and they are not what a tower in bfloat16 would give."""
    info, index = load_info(data), load_index(data, "train")
    found = {}
    for dtype in ("float32", "bfloat16"):
        config = default.get_config()
        config.model.architecture.update(dataclasses.asdict(small_tower.ARCHITECTURE))
        config.model.update(dict(dtype=dtype, num_frames=2, prompt_layers=1, graph_width=32))
        config.prompts.cache = "none"
        config = as_published(config)
        _, abstract = assembly.abstract_model(config.model)
        values = tiny.random_parameters(abstract)
        found[dtype] = run_classes.class_context(
            config, values, info, index, MESH, lambda note: None
        )
    for one, other in zip(found["float32"], found["bfloat16"], strict=True):
        assert one.dtype == np.float32 and one.tobytes() == other.tobytes()
    low = small_tower.tower(dtype=jnp.bfloat16)
    state = parameters.split(low)[1]
    state.update({path.removeprefix("text."): v for path, v in values.items() if "text." in path})
    low = parameters.merge(parameters.split(low)[0], jax.tree.map(jnp.asarray, state))
    rounded = np.asarray(jax.jit(low)(tokenize(info.action_names)), np.float32)
    assert np.abs(rounded - found["bfloat16"].action_features).max() > 1e-4
