"""Animal-CLIP's refinement in parts, and other than published."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.test_util import check_grads

from animal_clip_jax.models import parameters
from animal_clip_jax.models.description import build
from animal_clip_jax.models.refinement import initial_gate
from animal_clip_jax.models.refinement_options import (
    NO_REFINEMENT,
    PUBLISHED,
    RefinementOptions,
)
from animal_clip_jax.training import losses, optimizer

RANDOM = np.random.default_rng(0)
CLIPS = 3
VIDEOS = RANDOM.standard_normal((CLIPS, tiny.EMBED)).astype(np.float32)
CLASSES = tiny.classes()
ANIMALS = np.float32([[1, 0, 0, 1], [0, 0, 0, 0], [0.2, 0.5, 0.3, 0]])
GRAPH_ONLY = RefinementOptions(adaptive_prompts=False)
PROMPTS_ONLY = RefinementOptions(graph="none")


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@functools.cache
def _parts(options: RefinementOptions):
    """The structure of a tiny model, and random parameters."""
    rngs = parameters.rngs_for_shapes()
    graphdef, shapes = parameters.abstract(
        lambda: build(tiny.description(), refinement=options, rngs=rngs)
    )
    return graphdef, tiny.random_parameters(shapes)


def _model(options: RefinementOptions):
    return parameters.merge(*_parts(options))


@functools.cache
def _scoring(options: RefinementOptions):
    return jax.jit(_model(options).score_encoded)


def _logits(options: RefinementOptions, animals=ANIMALS, videos=VIDEOS) -> np.ndarray:
    return np.asarray(_scoring(options)(videos, CLASSES, animals))


def _cosines(videos: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Scaled as `tiny.model` says."""
    return np.exp(2.0) * np.einsum("be,bke->bk", _unit(videos), _unit(actions))


def _context(animals: np.ndarray) -> np.ndarray:
    return (animals @ CLASSES.animal_features)[:, None]


@pytest.mark.parametrize(
    "options",
    [
        PUBLISHED,
        NO_REFINEMENT,
        GRAPH_ONLY,
        PROMPTS_ONLY,
        RefinementOptions(graph="averaged", unknown_animals="from_video", gate=True),
    ],
    ids=str,
)
def test_any_number_of_clips_will_do(options):
    """Which an exported model leaves open."""
    (clips,) = jax.export.symbolic_shape("clips")
    arrays = [
        jax.ShapeDtypeStruct((clips, *array.shape[1:]), np.float32) for array in (VIDEOS, ANIMALS)
    ]
    logits = jax.eval_shape(_model(options).score_encoded, arrays[0], CLASSES, arrays[1])
    assert logits.shape == (clips, len(CLASSES.action_features))


def test_the_graph_alone_leaves_the_video_as_it_is():
    actions = jax.jit(_model(PUBLISHED).graph)(*CLASSES[:2], ANIMALS, CLASSES.relation)
    expected = _cosines(VIDEOS, np.asarray(actions))
    np.testing.assert_allclose(_logits(GRAPH_ONLY), expected, rtol=1e-4, atol=1e-4)


def test_prompts_alone_begin_with_the_texts():
    model = _model(PUBLISHED)
    actions = np.repeat(CLASSES.action_features[None], CLIPS, axis=0)
    actions = actions + jax.jit(model.action_prompts)(actions, _context(ANIMALS))
    videos = VIDEOS[:, None]
    videos = videos + jax.jit(model.video_prompts)(videos, _context(ANIMALS))
    expected = _cosines(np.asarray(videos)[:, 0], np.asarray(actions))
    np.testing.assert_allclose(_logits(PROMPTS_ONLY), expected, rtol=1e-4, atol=1e-4)


def test_without_both_animals_do_not_matter():
    expected = _cosines(VIDEOS, np.repeat(CLASSES.action_features[None], CLIPS, axis=0))
    np.testing.assert_allclose(_logits(NO_REFINEMENT), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(
        _logits(NO_REFINEMENT, np.zeros_like(ANIMALS)), _logits(NO_REFINEMENT)
    )


GUESSING = RefinementOptions(unknown_animals="from_video")


def _guess(videos: np.ndarray, animal_features: np.ndarray) -> np.ndarray:
    logits = np.exp(2.0) * _unit(videos) @ _unit(animal_features).T
    shares = np.exp(logits)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("graph", ["summed", "averaged"])
def test_a_guess_is_as_good_as_being_told_the_same(graph):
    """Where animals are known, there is no guess."""
    options = dataclasses.replace(GUESSING, graph=graph)
    guess = _guess(VIDEOS, CLASSES.animal_features)
    is_known = ANIMALS.any(axis=1, keepdims=True)
    assert 0 < is_known.sum() < CLIPS
    expected = np.where(is_known, ANIMALS, guess)
    found = _model(options).animals_of(VIDEOS, CLASSES, ANIMALS)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    told = RefinementOptions(graph=graph)
    np.testing.assert_allclose(
        _logits(options), _logits(told, animals=expected), rtol=1e-4, atol=1e-4
    )
    assert np.abs(_logits(options) - _logits(told))[1].max() > 1e-3


def test_a_guess_is_sure_where_the_video_is_an_animal():
    """And of features twice as long, the same."""
    animals = np.zeros((tiny.ANIMALS, tiny.ANIMALS), np.float32)
    classes = CLASSES._replace(animal_features=_unit(CLASSES.animal_features))
    found = np.asarray(_model(GUESSING).animals_of(3 * classes.animal_features, classes, animals))
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert np.all(found.argmax(axis=1) == np.arange(tiny.ANIMALS)) and found.diagonal().min() > 0.9


def test_without_animals_there_is_nothing_to_guess():
    classes = CLASSES._replace(
        animal_features=CLASSES.animal_features[:0], relation=CLASSES.relation[:, :0]
    )
    found = _model(GUESSING).score_encoded(VIDEOS, classes, ANIMALS[:, :0])
    expected = _model(PUBLISHED).score_encoded(VIDEOS, classes, ANIMALS[:, :0])
    np.testing.assert_array_equal(found, expected)


def test_gradients_go_through_the_guess():
    """As finite differences say; what the same animals give that were told is another gradient."""
    given = np.concatenate([VIDEOS[1:2], VIDEOS[1:2] + 1])
    unknown = np.zeros((2, tiny.ANIMALS), np.float32)
    weights = RANDOM.standard_normal((2, tiny.ACTIONS)).astype(np.float32)

    def total(options, animals):
        return jax.jit(
            lambda videos: jnp.sum(
                weights * _model(options).score_encoded(videos, CLASSES, animals)
            )
        )

    check_grads(total(GUESSING, unknown), (given,), order=1, modes=["rev"], eps=1e-2, rtol=0.02)
    told = _guess(given, CLASSES.animal_features)
    through, beside = (
        jax.grad(total(GUESSING, unknown))(given),
        jax.grad(total(PUBLISHED, told))(given),
    )
    assert np.abs(through - beside).max() > 1e-2 * np.abs(beside).max()


GATED = RefinementOptions(gate=True)
PUBLISHED_PATHS = _parts(PUBLISHED)[1].keys()


def _gated(kernel: np.ndarray | float, bias: float, animals: np.ndarray = ANIMALS) -> np.ndarray:
    graphdef, values = _parts(GATED)
    values = {
        **{path: _parts(PUBLISHED)[1][path] for path in PUBLISHED_PATHS},
        "gate.linear.kernel": np.broadcast_to(np.float32(kernel), (2 * tiny.EMBED, 1)),
        "gate.linear.bias": np.float32([bias]),
    }
    score = jax.jit(lambda values, *given: parameters.merge(graphdef, values).score_encoded(*given))
    return np.asarray(score(values, VIDEOS, CLASSES, animals))


def test_a_gate_that_trusts_is_as_published_and_one_that_does_not_is_without_refinement():
    for bias, expected in ((50.0, PUBLISHED), (-150.0, NO_REFINEMENT)):
        np.testing.assert_allclose(_gated(0, bias), _logits(expected), rtol=1e-4, atol=1e-4)


def test_a_gate_mixes_features_by_the_video_and_the_context():
    kernel = 0.2 * np.random.default_rng(1).standard_normal((2 * tiny.EMBED, 1)).astype(np.float32)
    videos, actions = map(np.asarray, _model(PUBLISHED).refine(VIDEOS, CLASSES, ANIMALS))
    inputs = np.concatenate([VIDEOS, _context(ANIMALS)[:, 0]], axis=1)
    trust = 1 / (1 + np.exp(-(inputs @ kernel + 0.3)))
    assert trust.max() - trust.min() > 0.2
    videos = (1 - trust) * _unit(VIDEOS) + trust * _unit(videos)
    trust = trust[:, None]
    actions = (1 - trust) * _unit(CLASSES.action_features) + trust * _unit(actions)
    found = _gated(kernel, 0.3)
    np.testing.assert_allclose(found, _cosines(videos, actions), rtol=1e-4, atol=1e-4)


def test_a_gate_begins_half_open_and_is_all_that_is_new():
    gate = initial_gate(tiny.EMBED)
    shapes = {path: value.shape for path, value in _parts(GATED)[1].items()}
    assert {path: value.shape for path, value in gate.items()} == {
        path: shape for path, shape in shapes.items() if path not in PUBLISHED_PATHS
    }
    assert not any(value.any() for value in gate.values())
    groups = optimizer.parameter_groups(shapes, refinement=GATED)
    assert {groups[path] for path in gate} == {optimizer.NEW}


def test_gradients_go_through_the_gate():
    """As finite differences say, of the gate's parameters and of the video."""
    graphdef, values = _parts(GATED)
    weights = RANDOM.standard_normal((CLIPS, tiny.ACTIONS)).astype(np.float32)

    @jax.jit
    def total(kernel, bias, videos):
        changed = {**values, "gate.linear.kernel": kernel, "gate.linear.bias": bias}
        model = parameters.merge(graphdef, changed)
        return jnp.sum(weights * model.score_encoded(videos, CLASSES, ANIMALS))

    given = (values["gate.linear.kernel"], values["gate.linear.bias"], VIDEOS)
    check_grads(total, given, order=1, modes=["rev"], eps=1e-2, rtol=0.02)


OPTIONS = (
    PUBLISHED,
    NO_REFINEMENT,
    GRAPH_ONLY,
    PROMPTS_ONLY,
    RefinementOptions(graph="averaged", unknown_animals="from_video", gate=True),
)


@pytest.mark.parametrize("options", OPTIONS)
def test_exactly_what_is_trained_receives_a_gradient(options):
    graphdef, values = _parts(options)
    targets = np.eye(tiny.ACTIONS, dtype=np.float32)[:CLIPS]

    @jax.jit
    @jax.grad
    def gradient_of(values):
        logits = parameters.merge(graphdef, values).score_encoded(VIDEOS, CLASSES, ANIMALS)
        return losses.cross_entropy(logits, targets).sum()

    gradients = gradient_of(values)
    groups = optimizer.parameter_groups(values, refinement=options)
    behind_the_video = ("graph", "action_prompts", "video_prompts", "gate")
    for path in (path for path in values if path.startswith(behind_the_video)):
        is_trained = groups[path] in (optimizer.BASE, optimizer.NEW)
        assert np.any(gradients[path] != 0) == is_trained, path


def test_parameters_are_the_same_whatever_takes_part():
    for options in OPTIONS[:-1]:
        found = {path: value.shape for path, value in _parts(options)[1].items()}
        assert found == {path: value.shape for path, value in _parts(PUBLISHED)[1].items()}


def test_other_graphs_are_refused():
    with pytest.raises(ValueError, match="graph is 'mean'; expected one of summed, averaged, none"):
        RefinementOptions(graph="mean")
