"""What one module hands to another: the first step of a training, computed again in NumPy."""

import math
import pathlib

import jax
import numpy as np
import pytest
import tiny_run
from first_step import first_step
from ml_collections import ConfigDict

from animal_clip_jax.recognition.linear_probe import fit_linear_probe, held_out_probabilities
from animal_clip_jax.recognition.zero_shot import Recogniser
from animal_clip_jax.training.step import StepSettings
from data_pipeline.batches.input import evaluation_batches, train_batches
from data_pipeline.clip_index import load_index
from data_pipeline.dataset import load_info


def held_out_and_own(
    data: pathlib.Path, recogniser_folder: pathlib.Path, config: ConfigDict
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """By clip of the training: what a probe says that never saw it, and what one says that did."""
    recogniser = Recogniser.load(recogniser_folder)
    encode = jax.jit(recogniser.encode_frames)
    options = dict(num_frames=config.animals.num_frames, batch_size=16, split="train")
    size = recogniser.architecture.image_size
    features = np.concatenate(
        [
            np.asarray(encode(recogniser.values, batch["frames"][:, 0]))
            for batch in evaluation_batches(data, image_size=size, **options)
        ]
    )
    index, names = load_index(data, "train"), load_info(data).animal_names
    animals = np.zeros((len(index), len(names)), bool)
    for row, of_clip in enumerate(index.animals):
        animals[row, list(of_clip)] = True
    l2, top_k = config.animals.head_l2, config.animals.top_k
    held_out = held_out_probabilities(features, animals, index.clip_ids, names, l2=l2, top_k=top_k)
    own = fit_linear_probe(features, animals, names, l2=l2).probabilities(features, top_k=top_k)
    return (
        dict(zip(index.clip_ids, held_out, strict=True)),
        dict(zip(index.clip_ids, own, strict=True)),
    )


def test_training_on_learned_animals_is_told_what_a_new_clip_would_be(
    data, recogniser_folder, tmp_path
):
    config = tiny_run.config_on(
        data,
        animals__source="learned",
        animals__weights=str(recogniser_folder),
        animals__top_k=3,
        animals__head_l2=0.02,
    )
    start = first_step(config, tmp_path / "run")
    held_out, own = held_out_and_own(data, recogniser_folder, config)
    found = start.feed["animal_weights"]
    assert found.keys() == held_out.keys()
    for clip, weights in found.items():
        np.testing.assert_allclose(weights, held_out[clip], atol=1e-3)
        assert np.count_nonzero(weights) == 3
    assert max(np.abs(found[clip] - own[clip]).max() for clip in own) > 0.1
    # They come with the clips of the first batch, beside the labels.
    batch = next(train_batches(**start.feed))
    np.testing.assert_array_equal(start.batch["frames"], batch["frames"])
    np.testing.assert_array_equal(
        start.batch["animal_weights"], np.stack([found[clip] for clip in batch["clip_id"]])
    )
    assert start.options["settings"].animal_source == "learned"


OTHERWISE_THAN_USUAL = dict(
    seed=5,
    batch_size=12,
    accumulation=3,
    epochs=3,
    warmup_epochs=1,
    model__num_frames=3,
    model__architecture__image_size=24,
    data__train_split="test",
    data__flip=False,
    data__multi_scale_crop=True,
    data__validation_share=0.25,
    data__mean=(10.0, 20.0, 30.0),
    data__std=(40.0, 50.0, 60.0),
    animals__label_dropout=0.7,
    animals__otherwise="labels",
    animals__source="none",
    augmentation__jitter_probability=0.31,
    augmentation__brightness=0.32,
    augmentation__contrast=0.33,
    augmentation__saturation=0.34,
    augmentation__hue=0.35,
    augmentation__grey_probability=0.36,
    augmentation__mix=False,
    augmentation__mixup_alpha=0.37,
    augmentation__cutmix_alpha=0.38,
    loss="asymmetric",
    optimizer__ema_decay=0.9,
    optimizer__learning_rate=0.02,
    optimizer__new_multiplier=3.0,
    optimizer__minimum_learning_rate=0.001,
    optimizer__weight_decay=0.5,
    optimizer__beta1=0.8,
    optimizer__beta2=0.9,
    optimizer__epsilon=0.01,
)


@pytest.fixture(scope="module")
def unusual(data, tmp_path_factory):
    """The first step of a run of which hardly a field is that of the default."""
    config = tiny_run.config_on(data, **OTHERWISE_THAN_USUAL)
    return first_step(config, tmp_path_factory.mktemp("unusual") / "run")


def test_the_step_is_set_as_the_configuration_says(unusual):
    assert unusual.options["settings"] == StepSettings(
        accumulation=3,
        mean=(10.0, 20.0, 30.0),
        std=(40.0, 50.0, 60.0),
        jitter_probability=0.31,
        brightness=0.32,
        contrast=0.33,
        saturation=0.34,
        hue=0.35,
        grey_probability=0.36,
        mix=False,
        mixup_alpha=0.37,
        cutmix_alpha=0.38,
        animal_source="none",
        label_dropout=0.7,
        otherwise="labels",
        ema_decay=0.9,
    )
    assert unusual.options["reduction"] == "sum"  # of the asymmetric loss
    assert unusual.state.averaged.keys() == unusual.state.trained.keys()
    np.testing.assert_array_equal(unusual.state.rng, jax.random.PRNGKey(5))


def test_the_first_batch_is_what_the_configuration_says(unusual, data):
    """Of the clips that are not held out: 3 of the 10 of each action are."""
    rows = unusual.feed["rows"]
    assert len(rows) == 8 * 7 and set(rows) < set(range(8 * 10))
    expected = next(
        train_batches(
            data,
            num_frames=3,
            image_size=24,
            batch_size=12,
            seed=5,
            multi_scale_crop=True,
            flip=False,
            split="test",
            rows=rows,
        )
    )
    assert unusual.batch["frames"].shape == (12, 3, 24, 24, 3)
    for name in ("frames", "actions", "animals"):
        np.testing.assert_array_equal(unusual.batch[name], expected[name])


def rate_at(step: int, base: float) -> float:
    """Four steps of warm-up, which are an epoch, of twelve."""
    if step < 4:
        return base * step / 4
    return 0.001 + 0.5 * (base - 0.001) * (1 + math.cos(math.pi * step / 12))


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("visual.blocks.0.mlp.expand.kernel", 0.02),
        ("integration.position_embedding", 0.06),
        ("graph.first.kernel", 0.06),
    ],
)
def test_the_optimizer_follows_the_configuration(path, base, unusual):
    """AdamW written out for one parameter, over the whole run."""
    trained = {name: np.asarray(value) for name, value in unusual.state.trained.items()}
    path = next(name for name in trained if name.startswith(path.removesuffix(".first.kernel")))
    gradients = jax.tree.map(np.zeros_like, trained)
    is_decayed = trained[path].ndim > 1 and not path.endswith(("bias", "position_embedding"))
    expected = np.float64(trained[path])
    update = jax.jit(unusual.optimizer.update)
    state, first, second = jax.jit(unusual.optimizer.init)(trained), 0.0, 0.0
    found = trained
    for step in range(7):
        gradient = np.random.default_rng(step).normal(size=expected.shape)
        gradients[path] = gradient.astype(np.float32)
        updates, state = update(gradients, state, found)
        found = {**found, path: found[path] + np.asarray(updates[path])}
        first, second = 0.8 * first + 0.2 * gradient, 0.9 * second + 0.1 * gradient**2
        ascent = (first / (1 - 0.8 ** (step + 1))) / (
            np.sqrt(second / (1 - 0.9 ** (step + 1))) + 0.01
        )
        decay = 0.5 * expected if is_decayed else 0.0
        expected = expected - rate_at(step, base) * (ascent + decay)
    np.testing.assert_allclose(found[path], expected, rtol=1e-4, atol=1e-5)
