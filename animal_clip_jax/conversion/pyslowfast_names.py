"""The state-dict names of I3D, SlowFast and X3D in PySlowFast, and in what builds on it.

One table: our path → their key and the layout of its array. I3D and X3D are a SlowFast's first
pathway. The names of X3D's stem, head and squeeze-and-excitation are its own.
"""

from collections.abc import Iterable

from animal_clip_jax.conversion.layouts import CONVOLUTION, SAME, Layout
from animal_clip_jax.conversion.name_rows import NameTable, Row, linear, normed_convolution


def _pathway(ours: str, number: int) -> list[Row]:
    rows = normed_convolution(
        f"{ours}stem", f"s1.pathway{number}_stem.conv", f"s1.pathway{number}_stem.bn"
    )
    for stage in (2, 3, 4, 5):
        our_block, block = f"{ours}stage{stage}.{{i}}", f"s{stage}.pathway{number}_res{{i}}"
        for part in ("a", "b", "c"):
            theirs = f"{block}.branch2.{part}"
            rows += normed_convolution(f"{our_block}.{part}", theirs, f"{theirs}_bn")
        rows += normed_convolution(
            f"{our_block}.shortcut", f"{block}.branch1", f"{block}.branch1_bn"
        )
        for our_layer, layer in (("squeeze", "fc1"), ("excite", "fc2")):
            row, theirs = f"{our_block}.excitation.{our_layer}", f"{block}.branch2.se.{layer}"
            rows += [
                (f"{row}.kernel", f"{theirs}.weight", CONVOLUTION),
                (f"{row}.bias", f"{theirs}.bias", SAME),
            ]
    return rows


_TABLE = NameTable(
    (
        *_pathway("", 0),
        *linear("projection", "head.projection"),
        # SlowFast
        *_pathway("slow.", 0),
        *_pathway("fast.", 1),
        *(
            row
            for number in (1, 2, 3, 4)
            for row in normed_convolution(
                f"fusion{number}", f"s{number}_fuse.conv_f2s", f"s{number}_fuse.bn"
            )
        ),
        # X3D
        ("stem_space.kernel", "s1.pathway0_stem.conv_xy.weight", CONVOLUTION),
        *normed_convolution("stem_time", "s1.pathway0_stem.conv", "s1.pathway0_stem.bn"),
        *normed_convolution("head_bottleneck", "head.conv_5", "head.conv_5_bn"),
        ("head_expansion.kernel", "head.lin_5.weight", CONVOLUTION),
    )
)


def pyslowfast_names(paths: Iterable[str]) -> dict[str, tuple[str, Layout]]:
    """The key and layout of every path: {our path: (key, layout)}.

    Raises:
        KeyError: a path is not one of I3D, SlowFast or X3D.
    """
    return {path: _TABLE[path] for path in paths}
