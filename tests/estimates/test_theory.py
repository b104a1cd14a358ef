"""Operations on paper, beside those that JAX traces, and beside what is published."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import pytest

from animal_clip_jax.estimates.theory import forward_flops, training_flops
from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ARCHITECTURES, ClipArchitecture
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.description import ModelDescription, build
from animal_clip_jax.models.refinement_options import (
    NO_REFINEMENT,
    PUBLISHED,
    RefinementOptions,
)

ACTIONS, ANIMALS = 5, 3
SMALL = ClipArchitecture(
    embed_dim=64,
    image_size=32,
    patch_size=8,
    vision_width=128,
    vision_layers=2,
    vision_heads=2,
    text_width=64,
    text_layers=1,
    text_heads=1,
)


def described(family: str, architecture: ClipArchitecture) -> ModelDescription:
    return ModelDescription(
        family=family,
        architecture=architecture,
        num_frames=4,
        integration_layers=1,
        integration_heads=architecture.embed_dim // 64,
        prompt_layers=1,
        prompt_heads=architecture.embed_dim // 64,
        graph_width=32 if family == "animal_clip" else None,
    )


def products(jaxpr) -> int:
    """Two operations for every multiply-add of the products in a traced program."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            size = math.prod(shape[axis] for axis in contracted)
            total += 2 * size * math.prod(equation.outvars[0].aval.shape)
        for inner in jax.core.jaxprs_in_params(equation.params):
            total += products(inner)
    return total


def traced(
    model: ModelDescription, clips: int, *, refinement: RefinementOptions, training: bool
) -> int:
    graphdef, values = parameters.abstract(
        lambda: build(
            model,
            drop_path_rate=0.0,
            remat="none",
            rngs=parameters.rngs_for_shapes(),
            dtype=jnp.float32,
            refinement=refinement,
        )
    )
    size, embed_dim = model.architecture.image_size, model.architecture.embed_dim
    shapes = (
        jnp.zeros((clips, model.num_frames, size, size, 3)),
        ClassContext(
            jnp.zeros((ACTIONS, embed_dim)),
            jnp.zeros((ANIMALS, embed_dim)),
            jnp.zeros((ACTIONS, ANIMALS)),
        ),
        jnp.zeros((clips, ANIMALS)),
    )

    def forward(values, frames, classes, animals):
        return jnp.sum(parameters.merge(graphdef, values)(frames, classes, animals))

    program = jax.grad(forward) if training else forward
    return products(jax.make_jaxpr(program)(values, *shapes).jaxpr)


@pytest.mark.parametrize(
    ("family", "refinement"),
    [
        ("animal_clip", PUBLISHED),
        ("animal_clip", NO_REFINEMENT),
        ("animal_clip", RefinementOptions(graph="averaged", adaptive_prompts=False, gate=True)),
        ("animal_clip", RefinementOptions(graph="none", unknown_animals="from_video")),
        ("xclip", PUBLISHED),
    ],
)
def test_as_many_as_are_traced_for_one_clip_more(family, refinement):
    model = described(family, SMALL)
    sizes = dict(num_actions=ACTIONS, num_animals=ANIMALS, refinement=refinement)
    forward, training = (
        traced(model, 3, refinement=refinement, training=training)
        - traced(model, 2, refinement=refinement, training=training)
        for training in (False, True)
    )
    # Layers that every clip shares, and the small products of the graph with what is not trained,
    # are not worth their place in the formula.
    assert forward_flops(model, **sizes) == pytest.approx(forward, rel=1e-9)
    assert training_flops(model, **sizes) == pytest.approx(training, rel=0.02)


@pytest.mark.parametrize(
    ("name", "gigaflops"), [("ViT-B/32", 4.4), ("ViT-B/16", 17.6), ("ViT-L/14", 81.1)]
)
def test_the_towers_take_what_is_published_of_them(name, gigaflops):
    """Multiply-adds of an image (Dosovitskiy et al., 2021, and the authors of DeiT and CLIP)."""
    one = dataclasses.replace(described("xclip", ARCHITECTURES[name]), num_frames=8)
    frames = forward_flops(one, num_actions=1, num_animals=1) / 8 / 2
    assert frames == pytest.approx(1e9 * gigaflops, rel=0.05)
