"""The scores of a split, against a loop in NumPy over the model's logits."""

import jax
import numpy as np
import pytest
import tiny
from jax.sharding import AbstractMesh

from animal_clip_jax.evaluation import scoring, split_scores
from animal_clip_jax.evaluation.split_scores import Condition, Scores
from animal_clip_jax.models import parameters
from animal_clip_jax.models.normalisation import IMAGENET
from animal_clip_jax.parallel.mesh import AXES, make_mesh, tree_shardings

CLIPS, VIEWS, BATCH = 7, 3, 4
MESH = make_mesh(dict.fromkeys(AXES, 1), jax.devices()[:1])
GRAPHDEF, VALUES = tiny.model()
CLASSES = tiny.classes()


@pytest.fixture(scope="module")
def split() -> dict[str, np.ndarray]:
    """Seven clips in three views."""
    views = [tiny.batch(CLIPS, seed=seed) for seed in range(VIEWS)]
    return {
        "frames": np.stack([view["frames"] for view in views], axis=1),
        "actions": views[0]["actions"],
        "animals": views[0]["animals"],
        "clip_id": np.array([f"clip {row}" for row in range(CLIPS)], object),
    }


@pytest.fixture(scope="module")
def recognised() -> dict[str, dict[str, np.ndarray]]:
    """What two recognisers say of the clips; neither is what is annotated."""
    found = {}
    for seed, source in enumerate(("predicted", "learned")):
        weights = np.random.default_rng(seed).random((CLIPS, tiny.ANIMALS)).astype(np.float32)
        weights /= weights.sum(axis=1, keepdims=True)
        found[source] = {f"clip {row}": weights[row] for row in range(CLIPS)}
    return found


class Once:
    """Views that can be looked at once."""

    def __init__(self, views):
        self._views, self._left = views, iter(views)

    def __len__(self):
        return len(self._views)

    def __iter__(self):
        return self._left


def batches_of(split, size: int = BATCH) -> list[dict[str, np.ndarray]]:
    """The clips in batches, the last filled up with copies that the mask leaves out.

    The frames come a view at a time, and once.
    """
    found = []
    for start in range(0, CLIPS, size):
        rows = np.arange(start, start + size)
        batch = {name: value[np.minimum(rows, CLIPS - 1)] for name, value in split.items()}
        found.append(
            {**batch, "frames": Once(batch["frames"].swapaxes(0, 1)), "mask": rows < CLIPS}
        )
    return found


@pytest.fixture(scope="module")
def steps():
    """The compiled programs by what they make of logits."""
    return {
        outputs: scoring.make_scoring_steps(
            GRAPHDEF,
            normalisation=IMAGENET,
            outputs=outputs,
            mesh=MESH,
            parameter_shardings=tree_shardings(VALUES, MESH),
        )
        for outputs in ("softmax", "sigmoid", scoring.LOGITS)
    }


@pytest.fixture(scope="module")
def logits_of():
    """The model by itself, of one view of one clip: (logits, video features)."""

    @jax.jit
    def score(frames, animals):
        return parameters.merge(GRAPHDEF, VALUES).score(frames, CLASSES, animals)

    @jax.jit
    def logits(frames, animals):
        return parameters.merge(GRAPHDEF, VALUES)(frames, CLASSES, animals)

    def one(frames: np.ndarray, animals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, std = (np.array(values, np.float32) for values in IMAGENET)
        pixels = ((frames.astype(np.float32) - mean) / std)[None]
        found = np.asarray(logits(pixels, animals[None]), np.float64)[0]
        return found, np.asarray(score(pixels, animals[None])[1], np.float64)[0]

    return one


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def score(
    steps, outputs, split, source="labels", size=BATCH, shuffle_seed=None, **arguments
) -> Scores:
    (found,) = split_scores.score_split(
        steps[outputs],
        VALUES,
        CLASSES,
        batches_of(split, size),
        MESH,
        conditions=[Condition(source, shuffle_seed)],
        **arguments,
    )
    return found


@pytest.mark.parametrize("source", ["labels", "predicted", "none"])
@pytest.mark.parametrize(("outputs", "function"), [("softmax", softmax), ("sigmoid", sigmoid)])
def test_scores_are_the_sums_over_views(
    steps, split, recognised, logits_of, outputs, function, source
):
    given = {
        "labels": split["animals"],
        "predicted": np.stack(list(recognised["predicted"].values())),
        "none": np.zeros_like(split["animals"]),
    }[source]
    expected = np.zeros((CLIPS, tiny.ACTIONS))
    for clip in range(CLIPS):
        for view in range(VIEWS):
            expected[clip] += function(logits_of(split["frames"][clip, view], given[clip])[0])
    found = score(steps, outputs, split, source, recognised=recognised)
    assert found.scores.dtype == np.float64
    np.testing.assert_allclose(found.scores, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found.actions, split["actions"])
    np.testing.assert_array_equal(found.animals, split["animals"])


def test_views_of_a_batch_are_summed_with_their_features(steps, split, logits_of):
    views, animals = split["frames"][:BATCH].swapaxes(0, 1), split["animals"][:BATCH]
    found = scoring.score_views(steps["sigmoid"], VALUES, CLASSES, views, [animals], MESH)
    for clip in range(BATCH):
        views = [logits_of(frames, animals[clip]) for frames in split["frames"][clip]]
        expected = sum(sigmoid(logits) for logits, _ in views)
        np.testing.assert_allclose(found.probabilities[0][clip], expected, rtol=0, atol=1e-6)
        features = sum(features for _, features in views)
        np.testing.assert_allclose(found.features[clip], features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("outputs", "function"), [("softmax", softmax), ("sigmoid", sigmoid)])
def test_a_temperature_divides_the_logits_of_each_view(steps, split, logits_of, outputs, function):
    views, animals = split["frames"][:BATCH].swapaxes(0, 1), split["animals"][:BATCH]
    arguments = (steps[outputs], VALUES, CLASSES, views, [animals], MESH)
    plain = scoring.score_views(*arguments)
    compiled = steps[outputs].score._cache_size()
    for temperature in (0.5, 3.0):
        found = scoring.score_views(*arguments, temperature=temperature)
        for clip in range(BATCH):
            views = [logits_of(frames, animals[clip]) for frames in split["frames"][clip]]
            expected = sum(function(logits / temperature) for logits, _ in views)
            np.testing.assert_allclose(found.probabilities[0][clip], expected, rtol=0, atol=2e-6)
        np.testing.assert_array_equal(found.features, plain.features)
    assert steps[outputs].score._cache_size() == compiled
    again = scoring.score_views(*arguments, temperature=1.0)
    np.testing.assert_array_equal(again.probabilities, plain.probabilities)


def test_logits_of_a_split_are_those_of_each_view(steps, split, logits_of):
    done = []
    found, actions = split_scores.split_logits(
        steps[scoring.LOGITS], VALUES, CLASSES, batches_of(split), MESH,
        animal_source="labels", views=VIEWS, advance=done.append,
    )  # fmt: skip
    assert found.shape == (CLIPS, VIEWS, tiny.ACTIONS) and found.dtype == np.float64
    for clip in range(CLIPS):
        for view in range(VIEWS):
            expected = logits_of(split["frames"][clip, view], split["animals"][clip])[0]
            np.testing.assert_allclose(found[clip, view], expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(actions, split["actions"])
    assert done == sorted(done) and done[-1] == CLIPS


def test_any_batch_size_gives_the_same_scores_and_tells_how_far_it_is(steps, split):
    waited, done = [], []
    found = score(steps, "softmax", split, wait_for=waited.append, advance=done.append)
    # Of three views of four clips and of three, one after the other.
    assert done == [0, 1, 2, 4, 5, 6, 7]
    assert len(waited) == 2 * VIEWS
    other = score(steps, "softmax", split, size=2)
    np.testing.assert_allclose(other.scores, found.scores, rtol=0, atol=1e-6)


def test_a_wait_that_raises_gives_the_scoring_up(steps, split):
    def wait_for(array):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        score(steps, "softmax", split, wait_for=wait_for)


def test_shuffled_frames_reach_the_model_in_the_order_of_their_place(steps, split, logits_of):
    """Whatever the batch, a clip's frames are in the order that its place in the split gives."""
    plain = score(steps, "softmax", split)
    shuffled = score(steps, "softmax", split, shuffle_seed=5)
    expected = np.zeros((CLIPS, tiny.ACTIONS))
    orders, is_moved = set(), np.zeros(CLIPS, bool)
    for clip in range(CLIPS):
        order = split_scores.frame_orders(1, VIEWS, tiny.FRAMES, seed=5, first_clip=clip)[0]
        for view in range(VIEWS):
            orders.add(tuple(order[view]))
            is_moved[clip] |= order[view].tolist() != [0, 1, 2]
            frames = split["frames"][clip, view][order[view]]
            expected[clip] += softmax(logits_of(frames, split["animals"][clip])[0])
    assert len(orders) > 3 and is_moved.sum() > 4
    change = np.abs(shuffled.scores - plain.scores).max(axis=1)
    np.testing.assert_array_equal(change > 1e-4, is_moved)
    np.testing.assert_allclose(shuffled.scores, expected, rtol=0, atol=1e-6)
    for size in (1, 2, 7):
        again = score(steps, "softmax", split, size=size, shuffle_seed=5)
        np.testing.assert_allclose(again.scores, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(shuffled.actions, plain.actions)
    other = score(steps, "softmax", split, shuffle_seed=6)
    assert np.abs(other.scores - shuffled.scores).max() > 1e-4


class Counted:
    """A compiled program that counts the operations of all its runs, by the compiler's figures."""

    def __init__(self, program):
        self._program, self.runs, self.flops = program, 0, 0.0

    def __call__(self, *arguments):
        self.runs += 1
        self.flops += self._program.lower(*arguments).compile().cost_analysis()["flops"]
        return self._program(*arguments)


CONDITIONS = [
    Condition(source, seed)
    for source in ("none", "labels", "predicted", "learned")
    for seed in (None, 5)
]


def test_the_video_tower_runs_once_a_view_and_order_whatever_the_sources(steps, split, recognised):
    """With each batch asked for once; and every score is that of an evaluation by itself."""
    flops, found = {}, []
    for conditions in (CONDITIONS[:2], CONDITIONS):
        programs = scoring.ScoringSteps(
            Counted(steps["softmax"].encode),
            Counted(steps["softmax"].score),
            steps["softmax"].encode_actions,
        )
        found = split_scores.score_split(
            programs, VALUES, CLASSES, iter(batches_of(split)), MESH,
            conditions=conditions, recognised=recognised,
        )  # fmt: skip
        # Two batches in three views, and two orders of the frames.
        assert programs.encode.runs == 2 * VIEWS * 2
        assert programs.score.runs == 2 * VIEWS * len(conditions)
        flops[len(conditions)] = programs.encode.flops, programs.score.flops
    assert flops[8][0] == flops[2][0] > 5 * flops[2][1] > 0
    assert flops[8][1] == 4 * flops[2][1]
    for (source, seed), together in zip(CONDITIONS, found, strict=True):
        alone = score(steps, "softmax", split, source, shuffle_seed=seed, recognised=recognised)
        for ours, theirs in zip(together, alone, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert len({scored.scores.tobytes() for scored in found}) == len(CONDITIONS)


@pytest.mark.parametrize(
    ("wanted", "clips", "mesh", "expected"),
    [
        (32, 2, (1, 1, 1), 2),
        (32, 32, (1, 1, 1), 32),
        (32, 80, (1, 1, 1), 32),
        (32, 2, (2, 2, 1), 4),
        (32, 5, (2, 2, 1), 8),
        (32, 31, (8, 1, 1), 32),
        (32, 5, (1, 1, 8), 5),  # devices along `model` do not share a batch
        (32, 5, (2, 1, 4), 6),
    ],
)
def test_the_batch_size_fits_the_data(wanted, clips, mesh, expected):
    found = scoring.batch_size_for(wanted, clips, AbstractMesh(mesh, AXES))
    assert found == expected
    assert found % (mesh[0] * mesh[1]) == 0
