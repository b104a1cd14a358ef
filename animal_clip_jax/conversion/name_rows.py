"""Rows of the tables of names: one of our paths, their key, and the layout of its array.

`{i}` in both stands for a layer's number.
"""

import re
from collections.abc import Iterable

from animal_clip_jax.conversion.layouts import LINEAR, SAME, Layout

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
