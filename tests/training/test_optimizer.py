import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from animal_clip_jax.conversion.openai_names import torch_name
from animal_clip_jax.models import parameters
from animal_clip_jax.run import assembly
from animal_clip_jax.run.start import as_published
from animal_clip_jax.training import losses, optimizer
from animal_clip_jax.training.optimizer import BASE, DECAY_ONLY, FROZEN, NEW, STATISTIC
from configs import default

FAMILIES = ("animal_clip", "xclip")
# Animal-CLIP's parameters that can receive no gradient: the projection of the patches is not used,
# and the softmax over the one token of the animals is 1.
UNUSED = ("prompts_visual_",)
BEHIND_ONE_TOKEN = (".cross_attn.q_proj.", ".cross_attn.k_proj.", ".norm1.")


def _published_group(key: str) -> str:
    """The published rules, on the names of the published state dict."""
    new = any(part in key for part in ("message_", "mit", "prompts", "graph"))
    if not new and "visual." not in key:
        return FROZEN
    return NEW if new else BASE


@pytest.mark.parametrize("family", FAMILIES)
def test_groups_are_the_published_ones_for_every_parameter(family):
    _, values = tiny.model(family)
    for path, group in optimizer.parameter_groups(values).items():
        key, _ = torch_name(path)
        expected = _published_group(key)
        if family == "animal_clip" and key.startswith(UNUSED):
            expected = FROZEN
        elif family == "animal_clip" and any(part in key for part in BEHIND_ONE_TOKEN):
            expected = DECAY_ONLY
        assert group == expected, (path, key)


@pytest.mark.parametrize("family", FAMILIES)
def test_decay_is_the_published_one_for_every_parameter(family):
    _, values = tiny.model(family)
    for path, value in values.items():
        key, layout = torch_name(path)
        if optimizer.parameter_group(path) == FROZEN:
            continue
        exempt = (
            len(layout.torch_shape(value.shape)) == 1
            or key.endswith(".bias")
            or "positional_embedding" in key
        )
        assert optimizer.is_decayed(path, value.shape) == (not exempt), (path, key)


@pytest.mark.parametrize("family", FAMILIES)
def test_exactly_what_is_trained_receives_a_gradient(family):
    graphdef, values = tiny.model(family)
    batch, classes = tiny.batch(4), tiny.classes()
    clips = batch["frames"] / np.float32(128) - 1

    @jax.jit
    @jax.grad
    def gradient_of(values):
        logits = parameters.merge(graphdef, values)(clips, classes, batch["animals"])
        return losses.cross_entropy(logits, batch["actions"]).sum()

    gradients = gradient_of(values)
    groups = optimizer.parameter_groups(values)
    for path, gradient in gradients.items():
        if path != "logit_scale":  # frozen although it has a gradient
            assert np.any(gradient != 0) == (groups[path] in (BASE, NEW)), path


def _rates(step: int, **arguments) -> float:
    return float(optimizer.learning_rate_schedule(8e-6, minimum=8e-8, **arguments)(step))


@pytest.mark.parametrize("step", [0, 1, 9, 10, 11, 35, 59, 60])
def test_schedule(step):
    if step < 10:
        expected = 8e-6 * step / 10
    else:
        expected = 8e-8 + (8e-6 - 8e-8) / 2 * (1 + math.cos(math.pi * step / 60))
    assert _rates(step, warmup_steps=10, total_steps=60) == pytest.approx(expected, rel=1e-5)


def test_schedule_without_warmup_begins_at_the_base_rate():
    assert _rates(0, warmup_steps=0, total_steps=60) == pytest.approx(8e-6)


def test_schedule_ends_at_the_minimum_of_every_group():
    for base in (8e-6, 8e-5):
        schedule = optimizer.learning_rate_schedule(
            base, minimum=8e-8, warmup_steps=10, total_steps=60
        )
        assert float(schedule(60)) == pytest.approx(8e-8, rel=1e-3)


def test_moments_are_held_only_for_what_receives_a_gradient():
    _, values = tiny.model()
    groups = optimizer.parameter_groups(values)
    trained = {path: value for path, value in values.items() if groups[path] != FROZEN}
    adamw = optimizer.build_optimizer(
        {path: groups[path] for path in trained}, {BASE: 1e-3, NEW: 1e-2}, weight_decay=0.1
    )
    held = sum(leaf.size for leaf in jax.tree.leaves(adamw.init(trained)) if leaf.ndim)
    assert held == 2 * sum(
        value.size for path, value in trained.items() if groups[path] in (BASE, NEW) and value.ndim
    )


@pytest.mark.parametrize(("clip_norm", "factor"), [(1.0, 1 / 5), (10.0, 1.0), (0.0, 1.0)])
def test_clipping_scales_all_gradients_to_the_norm(clip_norm, factor):
    """Gradients of norm 5 over two groups; the large epsilon keeps AdamW's steps in proportion."""
    values = {"visual.a.kernel": jnp.ones((1, 1)), "graph.b.kernel": jnp.ones((1, 1))}
    gradients = {"visual.a.kernel": jnp.full((1, 1), 3.0), "graph.b.kernel": jnp.full((1, 1), 4.0)}

    def updates(clip_norm, factor):
        adamw = optimizer.build_optimizer(
            optimizer.parameter_groups(values),
            {BASE: 1.0, NEW: 1.0},
            weight_decay=0.0,
            epsilon=1e3,
            clip_norm=clip_norm,
        )
        scaled = {path: factor * gradient for path, gradient in gradients.items()}
        return adamw.update(scaled, adamw.init(values), values)[0]

    found, expected = updates(clip_norm, 1.0), updates(0.0, factor)
    for path in values:
        np.testing.assert_allclose(found[path], expected[path], rtol=1e-5)


EPOCHS, WARMUP_EPOCHS, STEPS_PER_EPOCH = 6, 2, 7


def _assembled(**options):
    """The optimizer and the rates of a configuration of 6 epochs, of which 2 warm up."""
    config = default.get_config()
    config.epochs, config.warmup_epochs = EPOCHS, WARMUP_EPOCHS
    config.optimizer.update(
        dict(learning_rate=3e-4, minimum_learning_rate=1e-6, weight_decay=0.02, **options)
    )
    groups = optimizer.parameter_groups(tiny.model()[1])
    return assembly.make_optimizer(config, groups, steps_per_epoch=STEPS_PER_EPOCH)


def _expected_rate(base: float, step: int) -> float:
    """SPEC's schedule: linear from 0 over the epochs of warm-up, then a cosine whose time counts
    from the start of the run, down to the minimum."""
    if step < WARMUP_EPOCHS * STEPS_PER_EPOCH:
        return base * step / (WARMUP_EPOCHS * STEPS_PER_EPOCH)
    share = step / (EPOCHS * STEPS_PER_EPOCH)
    return 1e-6 + 0.5 * (base - 1e-6) * (1 + math.cos(math.pi * share))


@pytest.mark.parametrize("step", [0, 1, 7, 13, 14, 15, 21, 35, 41, 42])
def test_rates_of_a_configuration(step):
    _, rates = _assembled()
    assert set(rates) == {BASE, NEW}
    for group, base in ((BASE, 3e-4), (NEW, 3e-3)):
        expected = _expected_rate(base, step)
        assert float(rates[group](step)) == pytest.approx(expected, rel=1e-4, abs=1e-12)


def test_every_group_of_a_configuration_ends_at_the_minimum():
    _, rates = _assembled()
    for rate in rates.values():
        assert float(rate(EPOCHS * STEPS_PER_EPOCH)) == pytest.approx(1e-6, rel=1e-2)
    _, rates = _assembled(new_multiplier=3.0)
    assert float(rates[NEW](14)) == pytest.approx(_expected_rate(9e-4, 14), rel=1e-4)


def test_the_optimizer_of_a_configuration_steps_at_these_rates():
    """With gradients that are always the same, AdamW's direction is their sign."""
    adamw, _ = _assembled()
    _, values = tiny.model()
    groups = optimizer.parameter_groups(values)
    trained = {path: value for path, value in values.items() if groups[path] != FROZEN}
    gradients = {path: np.ones_like(value) for path, value in trained.items()}
    state = adamw.init(trained)
    update = jax.jit(adamw.update)
    for step in range(16):
        updates, state = update(gradients, state, trained)
        for path, change in updates.items():
            rate = _expected_rate(3e-4 if groups[path] == BASE else 3e-3, step)
            decay = 0.02 * trained[path] if optimizer.is_decayed(path, change.shape) else 0.0
            direction = 0.0 if groups[path] == DECAY_ONLY else 1.0
            expected = -rate * (direction + decay) * np.ones_like(change)
            np.testing.assert_allclose(change, expected, rtol=1e-3, atol=1e-12, err_msg=path)


@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
def test_sgd_is_torch_s_with_nesterov_s_momentum(clip_norm):
    torch = pytest.importorskip("torch")
    values = {"a.kernel": jnp.asarray([[1.0, -2.0]]), "a.bias": jnp.asarray([3.0])}
    ours = optimizer.build_optimizer(
        dict.fromkeys(values, BASE),
        {BASE: 0.1, NEW: 0.0},
        weight_decay=0.01,
        beta1=0.9,
        clip_norm=clip_norm,
        algorithm="sgd",
    )
    theirs = {path: torch.tensor(np.asarray(value)) for path, value in values.items()}
    # What is decayed is a group of its own there.
    groups = [
        {"params": [theirs["a.kernel"]], "weight_decay": 0.01},
        {"params": [theirs["a.bias"]], "weight_decay": 0.0},
    ]
    sgd = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    state = ours.init(values)
    for step in range(4):
        gradients = {"a.kernel": np.float32([[step, 1.0]]), "a.bias": np.float32([-0.5 * step])}
        updates, state = ours.update(jax.tree.map(jnp.asarray, gradients), state, values)
        values = optax.apply_updates(values, updates)
        for path, gradient in gradients.items():
            theirs[path].grad = torch.tensor(gradient)
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(theirs.values(), clip_norm)
        sgd.step()
    for path, value in values.items():
        np.testing.assert_allclose(value, theirs[path].numpy(), rtol=1e-5, err_msg=path)


@pytest.mark.parametrize(
    ("family", "frozen", "spared"),
    [
        ("x3d", set(), {"projection.bias", "stem_time.norm.scale"}),
        ("mvit", set(), {"spatial_position_embedding", "temporal_position_embedding"}),
        (
            "evl",
            {"visual.class_embedding", "visual.blocks.0.mlp.expand.kernel"},
            {"layers.0.position_embedding", "layers.0.temporal_convolution.bias"},
        ),
        (
            "video_prompt",
            {"logit_scale", "text.token_embedding", "visual.projection"},
            {"temporal.position_embedding", "temporal.blocks.0.attention.query_key_value.bias"},
        ),
    ],
)
def test_groups_of_the_baselines(family, frozen, spared):
    """All that is trained learns alike; what CLIP brings stays, statistics are nobody's."""
    config = default.get_config()
    config.model.family, config.model.num_classes = family, 5
    config = as_published(config)
    _, shapes = assembly.abstract_model(config.model)
    groups = assembly.parameter_groups(config.model, shapes)
    assert {path for path, group in groups.items() if group == FROZEN} >= frozen
    assert bool(frozen) == (FROZEN in groups.values()) and groups.keys() == shapes.keys()
    for path in spared:
        assert groups[path] == BASE and not optimizer.is_decayed(path, shapes[path].shape), path
    statistics = {path for path, group in groups.items() if group == STATISTIC}
    assert statistics == {path for path in shapes if "running" in path}
    assert bool(statistics) == (family == "x3d")
