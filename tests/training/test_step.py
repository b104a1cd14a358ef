import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from flax import nnx

from animal_clip_jax.models import parameters
from animal_clip_jax.models.convolution import BatchNorm
from animal_clip_jax.models.layers import drop_path
from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.training import losses
from animal_clip_jax.training.state import create_state
from animal_clip_jax.training.step import make_train_step

AUGMENTED = {"jitter_probability": 0.8, "grey_probability": 0.2, "mix": True}
RATE = 0.1


class ColourModel(nnx.Module):
    """Scores actions by the mean colour and the animals: quick, and as sensitive to what a step
    does to a batch as the large models."""

    def __init__(self):
        normal = np.random.default_rng(0).standard_normal
        self.colours = nnx.Param(jnp.float32(normal((3, tiny.ACTIONS))))
        self.animals = nnx.Param(jnp.float32(normal((tiny.ANIMALS, tiny.ACTIONS))))
        self.text = nnx.Param(jnp.float32(normal((tiny.ACTIONS,))))

    def __call__(self, clips, classes, animal_weights, *, key):
        colours = jnp.mean(clips, axis=(1, 2, 3))
        return colours @ self.colours[...] + animal_weights @ self.animals[...] + self.text[...]


class DroppingModel(ColourModel):
    """Drops the colours of some clips, by the key that it is given."""

    RATE = 0.3

    def __call__(self, clips, classes, animal_weights, *, key):
        colours = jnp.mean(clips, axis=(1, 2, 3))
        return drop_path(colours @ self.colours[...], self.RATE, key) + self.text[...]


def _start(
    graphdef=None,
    values=None,
    *,
    loss=losses.cross_entropy,
    reduction="mean",
    seed=0,
    optimizer=None,
    with_averages=False,
    **changes,
):
    """A step and the state before it; plain gradient descent shows the gradients."""
    if graphdef is None:
        graphdef, values = parameters.split(ColourModel())
    groups = {
        path: "frozen" if path.startswith(("text", "logit_scale")) else "base" for path in values
    }
    optimizer = optimizer or optax.sgd(RATE)
    mesh = make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.devices()[:1])
    state, shardings = create_state(
        values, groups, optimizer, seed=seed, mesh=mesh, with_averages=with_averages
    )
    step = make_train_step(
        graphdef,
        optimizer,
        loss,
        reduction=reduction,
        settings=tiny.settings(**changes),
        mesh=mesh,
        state_shardings=shardings,
    )
    return step, state


def _run(step, state, *, steps: int = 1, clips: int = 8):
    classes = tiny.classes()
    for index in range(steps):
        state, metrics = step(state, tiny.batch(clips, seed=index), classes)
    return jax.device_get((state, metrics))


def _assert_same(actual, expected) -> None:
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def _closed_form() -> tuple[float, dict[str, np.ndarray]]:
    """Mean loss and gradients of `ColourModel` on the first batch, in float64."""
    _, values = parameters.split(ColourModel())
    batch, settings = tiny.batch(8), tiny.settings()
    colours = (batch["frames"].mean(axis=(1, 2, 3)) - settings.mean) / settings.std
    logits = colours @ values["colours"] + batch["animals"] @ values["animals"] + values["text"]
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = batch["actions"]
    loss = -(targets * np.log(softmax)).sum(axis=1).mean()
    slope = (softmax * targets.sum(axis=1, keepdims=True) - targets) / len(targets)
    return loss, {"colours": colours.T @ slope, "animals": batch["animals"].T @ slope}


@pytest.mark.parametrize("accumulation", [1, 4, 8])
@pytest.mark.parametrize(("reduction", "factor"), [("mean", 1), ("sum", 8)])
def test_a_step_follows_the_gradient_of_the_whole_batch(accumulation, reduction, factor):
    loss, gradients = _closed_form()
    step, state = _start(accumulation=accumulation, reduction=reduction)
    before = jax.device_get(state.trained)
    after, metrics = _run(step, state)
    np.testing.assert_allclose(metrics["loss"], factor * loss, rtol=1e-5)
    norm = factor * np.sqrt(sum(np.sum(gradient**2) for gradient in gradients.values()))
    np.testing.assert_allclose(metrics["gradient_norm"], norm, rtol=1e-5)
    assert after.trained.keys() == gradients.keys()
    for path, gradient in gradients.items():
        np.testing.assert_allclose(
            after.trained[path], before[path] - RATE * factor * gradient, rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("asymmetric", 2),
        ("binary_cross_entropy", 1),
        ("cross_entropy", 1),
        ("distribution_balanced", 1),
        ("focal", 1),
        ("ldam", 1),
    ],
)
def test_every_clip_twice_doubles_a_loss_that_is_published_as_a_sum(name, factor):
    loss = losses.build(
        name, positives=np.arange(1, tiny.ACTIONS + 1), num_clips=20, logit_scale=1.0
    )
    once = tiny.batch(8)
    twice = {field: np.concatenate([value, value]) for field, value in once.items()}
    figures = []
    for batch in (once, twice):
        step, state = _start(loss=loss, reduction=losses.REDUCTIONS[name])
        figures.append(step(state, batch, tiny.classes())[1])
    for figure in ("loss", "gradient_norm"):
        np.testing.assert_allclose(figures[1][figure], factor * figures[0][figure], rtol=1e-5)


def test_averages_follow_the_parameters():
    step, state = _start(with_averages=True, ema_decay=0.9)
    expected = jax.device_get(state.trained)
    assert state.averaged.keys() == expected.keys()
    for index in range(3):
        state, _ = step(state, tiny.batch(8, seed=index), tiny.classes())
        for path, value in state.trained.items():
            expected[path] = 0.9 * expected[path] + 0.1 * np.asarray(value)
    for path, value in expected.items():
        np.testing.assert_allclose(state.averaged[path], value, rtol=1e-5, atol=1e-6)
        assert np.any(state.averaged[path] != state.trained[path])
    evaluated = state.evaluated()
    assert evaluated.keys() == {"colours", "animals", "text"}
    np.testing.assert_array_equal(evaluated["colours"], state.averaged["colours"])
    np.testing.assert_array_equal(evaluated["text"], state.frozen["text"])


def test_without_averages_the_parameters_themselves_are_evaluated():
    _, state = _start()
    assert not state.averaged
    np.testing.assert_array_equal(state.evaluated()["colours"], state.trained["colours"])


def test_the_same_seed_gives_the_same_run():
    step, state = _start(accumulation=2, label_dropout=0.5, **AUGMENTED)
    once = _run(step, state, steps=3)
    _, again = _start(accumulation=2, label_dropout=0.5, **AUGMENTED)
    _assert_same(_run(step, again, steps=3), once)
    _, other = _start(seed=1, accumulation=2, label_dropout=0.5, **AUGMENTED)
    assert _run(step, other, steps=3)[1]["loss"] != once[1]["loss"]


def test_a_run_goes_on_exactly_from_any_step():
    """Randomness is a function of the run's key and the step, not of how often it was called."""
    step, state = _start(label_dropout=0.5, **AUGMENTED)
    half, _ = _run(step, state, steps=2)
    batch, classes = tiny.batch(8, seed=9), tiny.classes()
    expected = jax.device_get(step(jax.tree.map(jnp.asarray, half), batch, classes))
    _assert_same(jax.device_get(step(jax.tree.map(jnp.asarray, half), batch, classes)), expected)
    earlier = jax.tree.map(jnp.asarray, half._replace(step=np.int32(0)))
    assert step(earlier, batch, classes)[1]["loss"] != expected[1]["loss"]


def test_micro_batches_are_augmented_each_in_its_own_way():
    """Equal clips, coloured alike, would give a gradient of rank 1: colours times slopes."""
    equal = {name: np.repeat(value[:1], 4, axis=0) for name, value in tiny.batch(1).items()}
    for probability, is_varied in ((0.0, False), (1.0, True)):
        step, state = _start(accumulation=4, jitter_probability=probability)
        before = jax.device_get(state.trained["colours"])
        after = step(state, equal, tiny.classes())[0].trained["colours"]
        assert (np.linalg.matrix_rank(after - before, tol=1e-5) > 1) == is_varied


def test_counts_its_steps():
    step, state = _start()
    assert state.step == 0
    assert _run(step, state, steps=3)[0].step == 3


def test_frozen_parameters_stay_bit_identical():
    step, state = _start(optimizer=optax.adamw(0.1, weight_decay=0.5), **AUGMENTED)
    before = jax.device_get(state)
    after, _ = _run(step, state, steps=3)
    assert after.frozen.keys() == {"text"}
    _assert_same(after.frozen, before.frozen)
    for path, value in after.trained.items():
        assert np.all(value != before.trained[path])


def test_the_state_is_given_up():
    step, state = _start()
    _run(step, state)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((state.trained, state.frozen)))


def test_the_parameters_that_a_state_is_made_from_are_not_given_up():
    graphdef, values = parameters.split(ColourModel())
    step, state = _start(graphdef, values)
    _run(step, state)
    assert not any(value.is_deleted() for value in values.values())


def test_withholding_all_animals_is_not_telling_them():
    withheld = _run(*_start(label_dropout=1.0), steps=2)
    _assert_same(withheld, _run(*_start(animal_source="none"), steps=2))
    assert withheld[1]["loss"] != _run(*_start(), steps=2)[1]["loss"]


@pytest.mark.parametrize(
    "changes",
    [
        {"animal_source": "predicted"},
        {"label_dropout": 1.0, "otherwise": "learned"},
        {"animal_source": "none", "label_dropout": 1.0, "otherwise": "predicted"},
    ],
)
def test_recognised_animals_take_the_place_of_the_labels(changes):
    batch = tiny.batch(4)
    recognised = np.random.default_rng(0).random(batch["animals"].shape, np.float32)
    step, state = _start(**changes)
    told = step(state, {**batch, "animal_weights": recognised}, tiny.classes())[1]["loss"]
    step, state = _start()
    expected = step(state, {**batch, "animals": recognised}, tiny.classes())[1]["loss"]
    assert float(told) == float(expected)
    step, state = _start()
    assert float(told) != float(step(state, batch, tiny.classes())[1]["loss"])


def test_withholding_some_animals():
    """The mean loss of equal clips shows how many were told of their animals."""
    equal = {name: np.repeat(value[:1], 400, axis=0) for name, value in tiny.batch(1).items()}

    def loss(**changes) -> float:
        step, state = _start(**changes)
        return float(step(state, equal, tiny.classes())[1]["loss"])

    told, untold = loss(), loss(animal_source="none")
    share_untold = (loss(label_dropout=0.3) - told) / (untold - told)
    assert share_untold == pytest.approx(0.3, abs=0.07)  # three standard deviations


def test_animals_are_withheld_from_whole_clips():
    """Where all clips show all animals, all of them get the gradients of the same clips."""
    every = {**tiny.batch(8), "animals": np.ones((8, tiny.ANIMALS), np.float32)}

    def change(**changes) -> np.ndarray:
        step, state = _start(**changes)
        before = jax.device_get(state.trained["animals"])
        return np.asarray(step(state, every, tiny.classes())[0].trained["animals"]) - before

    withheld = change(label_dropout=0.5)
    np.testing.assert_allclose(withheld, np.broadcast_to(withheld[:1], withheld.shape), atol=1e-6)
    assert np.abs(withheld).max() > 1e-3
    assert np.abs(withheld - change()).max() > 1e-3


def test_the_model_drops_branches_in_training():
    """The mean loss of equal clips shows of how many the branch was dropped."""
    equal = {name: np.repeat(value[:1], 400, axis=0) for name, value in tiny.batch(1).items()}
    graphdef, values = parameters.split(DroppingModel())
    step, state = _start(graphdef, values)
    found = float(step(state, equal, tiny.classes())[1]["loss"])

    settings, target = tiny.settings(), equal["actions"][0]
    colours = (equal["frames"][0].mean(axis=(0, 1, 2)) - settings.mean) / settings.std
    kept, dropped = (
        float(-(target * (logits - np.log(np.exp(logits).sum()))).sum())
        for logits in (
            colours @ values["colours"] / (1 - DroppingModel.RATE) + values["text"],
            values["text"],
        )
    )
    share = (found - kept) / (dropped - kept)
    assert share == pytest.approx(DroppingModel.RATE, abs=0.07)  # three standard deviations


class NormedColourModel(nnx.Module):
    """Scores actions by the colours of pixels, normalised over the batch."""

    def __init__(self):
        normal = np.random.default_rng(0).standard_normal
        self.norm = BatchNorm(3, dtype=jnp.float32)
        self.colours = nnx.Param(jnp.float32(normal((3, tiny.ACTIONS))))

    def __call__(self, clips, classes, animal_weights, *, key):
        normed = self.norm(clips, training=key is not None)
        return jnp.mean(normed**2, axis=(1, 2, 3)) @ self.colours[...]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_running_statistics_follow_the_micro_batches(accumulation):
    """A tenth of the way to those of each, one after the other; the optimizer and the averages know
    nothing of them."""
    graphdef, values = parameters.split(NormedColourModel())
    step, state = _start(graphdef, values, accumulation=accumulation, with_averages=True)
    assert state.statistics.keys() == {"norm.running_mean", "norm.running_variance"}
    trained = {"colours", "norm.scale", "norm.bias"}
    assert state.trained.keys() == state.averaged.keys() == trained and not state.frozen
    after, _ = _run(step, state)
    settings, frames = tiny.settings(), tiny.batch(8)["frames"].astype(np.float64)
    pixels = (frames - settings.mean) / settings.std
    mean, variance = np.zeros(3), np.ones(3)
    for micro_batch in (pixels[part::accumulation] for part in range(accumulation)):
        colours = micro_batch.reshape(-1, 3)
        mean = 0.9 * mean + 0.1 * colours.mean(axis=0)
        variance = 0.9 * variance + 0.1 * colours.var(axis=0, ddof=1)
    found = after.statistics
    np.testing.assert_allclose(found["norm.running_mean"], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["norm.running_variance"], variance, rtol=1e-5)
    assert after.evaluated().keys() == values.keys() == after.values().keys()
    np.testing.assert_array_equal(after.evaluated()["norm.scale"], after.averaged["norm.scale"])
