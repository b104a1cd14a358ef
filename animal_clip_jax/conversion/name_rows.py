"""Rows of the tables of names: one of our paths, their key, and the layout of its array.

`{i}` in both stands for a layer's number.
"""

import re
from collections.abc import Iterable

from animal_clip_jax.conversion.layouts import CONVOLUTION, LINEAR, SAME, Layout

Row = tuple[str, str, Layout]


def norm(ours: str, theirs: str) -> list[Row]:
    """A layer norm."""
    return [(f"{ours}.scale", f"{theirs}.weight", SAME), (f"{ours}.bias", f"{theirs}.bias", SAME)]


def linear(ours: str, theirs: str) -> list[Row]:
    """A dense layer."""
    return [
        (f"{ours}.kernel", f"{theirs}.weight", LINEAR),
        (f"{ours}.bias", f"{theirs}.bias", SAME),
    ]


def batch_norm(ours: str, theirs: str) -> list[Row]:
    """A batch normalisation and its running statistics."""
    return [
        *norm(ours, theirs),
        (f"{ours}.running_mean", f"{theirs}.running_mean", SAME),
        (f"{ours}.running_variance", f"{theirs}.running_var", SAME),
    ]


def normed_convolution(ours: str, convolution: str, normalisation: str) -> list[Row]:
    """A convolution without a bias and the batch normalisation after it."""
    return [
        (f"{ours}.convolution.kernel", f"{convolution}.weight", CONVOLUTION),
        *batch_norm(f"{ours}.norm", normalisation),
    ]


def prompt_generator(ours: str, theirs: str, norm_name: str) -> list[Row]:
    """X-CLIP's prompt generator, whose first norm has two names."""
    layer, decoder = f"{ours}.layers.{{i}}", f"{theirs}.decoder.{{i}}"
    return [
        (f"{ours}.alpha", f"{theirs}.alpha", SAME),
        *norm(f"{ours}.norm", f"{theirs}.{norm_name}"),
        *norm(f"{layer}.attention_norm", f"{decoder}.norm1"),
        *(
            (
                f"{layer}.attention.{name}.kernel",
                f"{decoder}.cross_attn.{name[0]}_proj.weight",
                LINEAR,
            )
            for name in ("query", "key", "value")
        ),
        *linear(f"{layer}.attention.out", f"{decoder}.cross_attn.proj"),
        *norm(f"{layer}.mlp_norm", f"{decoder}.norm3"),
        *linear(f"{layer}.mlp.expand", f"{decoder}.mlp.0"),
        *linear(f"{layer}.mlp.contract", f"{decoder}.mlp.3"),
    ]


# Keys whose arrays are stacked along the first axis, and the layout of the stack.
Keys = tuple[tuple[str, ...], Layout]


class NameTable:
    """Rows by our path."""

    def __init__(self, rows: Iterable[Row]):
        self._rows = {ours: (theirs, layout) for ours, theirs, layout in rows}

    def __getitem__(self, path: str) -> tuple[str, Layout]:
        """Their key of one of our parameters, and its layout; KeyError where it has no row."""
        number = re.search(r"\.(\d+)\.", path)
        if number is None:
            return self._rows[path]
        theirs, layout = self._rows[path.replace(number.group(), ".{i}.", 1)]
        return theirs.replace("{i}", number.group(1)), layout

    def keys(self, path: str) -> Keys:
        """The same where `{qkv}` in a key stands for the three of query, key and value, whose
        arrays are stacked along the first axis, which is how torch packs them."""
        key, layout = self[path]
        parts = "qkv" if "{qkv}" in key else ("",)
        return tuple(key.replace("{qkv}", part) for part in parts), layout
