"""X3D: a small network expanded along time, space, width and depth (Feichtenhofer 2020).

As in PySlowFast, whose Kinetics weights it takes. With c = 12 channels as the base, w and d the
factors of width and depth, and b = 2.25 that of the bottleneck:

    stage                                                      side     width (w = 2)
    stem    convolution 1×3×3, then 5×1×1 of each channel      S/2      w·c         24
    stage2  d·1 blocks, the first strided                      S/4      w·c         24
    stage3  d·2 blocks, the first strided                      S/8      w·2c        48
    stage4  d·5 blocks, the first strided                      S/16     w·4c        96
    stage5  d·3 blocks, the first strided                      S/32     w·8c        192
    convolution 1×1×1 to b times the width, mean over T×S/32×S/32, 1×1×1 to 2048, ReLU, dropout,
    projection

Time is never strided. A block is an inverted bottleneck: to b times the width, a convolution of
each channel, swish, and back; every other block also weights its channels by what is in the whole
clip (Hu et al. 2018).
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.clip_checks import SPATIAL_STRIDE, check_clips, check_integers
from animal_clip_jax.models.convolution import (
    Convolution,
    NormedConvolution,
    shortcut,
    through,
    window_means,
)
from animal_clip_jax.models.position_classifier import PositionClassifier, is_training

_BASE_DEPTHS = (1, 2, 5, 3)


def rounded(value: float, multiple: int, least: int) -> int:
    """A width rounded to a multiple, and up where that would lose a tenth of it."""
    nearest = max(least, int(value + multiple / 2) // multiple * multiple)
    return nearest + multiple if nearest < 0.9 * value else nearest


class StageWidths(NamedTuple):
    """Dimensions of one stage.

    Attributes:
        blocks: how many there are.
        inner, out: channels within a block and after it.
        squeezed: channels between the two layers of squeeze-and-excitation.
    """

    blocks: int
    inner: int
    out: int
    squeezed: int


@dataclasses.dataclass(frozen=True)
class X3DArchitecture:
    """Dimensions of an X3D.

    Attributes:
        num_frames: frames of the clips that it is for.
        image_size: side of their square frames in pixels.
        base_width: channels before widening.
        width_factor, depth_factor, bottleneck_factor: of all widths, of the numbers of blocks, and
            of the widths within blocks.
        head_width: channels before the projection.
        stem_kernel: frames that the stem looks at.
        squeeze_factor: of the inner widths, for squeeze-and-excitation.
    """

    num_frames: int = 16
    image_size: int = 224
    base_width: int = 12
    width_factor: float = 2.0
    depth_factor: float = 2.2
    bottleneck_factor: float = 2.25
    head_width: int = 2048
    stem_kernel: int = 5
    squeeze_factor: float = 0.0625

    def __post_init__(self):
        check_integers(self)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not 0 < value < math.inf:
                raise UserError(
                    f"architecture.{field.name} is {value!r}; expected a positive number"
                )

    @property
    def stem_width(self) -> int:
        """Channels after the stem."""
        return rounded(self.width_factor * self.base_width, 1, 1)

    @property
    def stages(self) -> tuple[StageWidths, ...]:
        """Dimensions of stage2 to stage5."""
        found, base = [], self.base_width
        for depth in _BASE_DEPTHS:
            out = rounded(self.width_factor * base, 1, 1)
            inner = int(self.bottleneck_factor * out)
            squeezed = rounded(self.squeeze_factor * inner, 8, 8)
            found.append(StageWidths(math.ceil(self.depth_factor * depth), inner, out, squeezed))
            base = rounded(2 * base, 8, 1)
        return tuple(found)


X3D_ARCHITECTURES = {
    "X3D-S": X3DArchitecture(num_frames=13, image_size=160),
    "X3D-M": X3DArchitecture(),
    "X3D-L": X3DArchitecture(image_size=312, depth_factor=5.0),
    "tiny": X3DArchitecture(
        num_frames=8, image_size=32, base_width=8, depth_factor=0.5, head_width=128
    ),
}


class SqueezeExcitation(nnx.Module):
    """Weights channels by a function of their means over frames, rows and columns."""

    def __init__(self, width: int, squeezed: int, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        shared: dict[str, Any] = {"use_bias": True, "dtype": dtype, "rngs": rngs}
        self.squeeze = Convolution(width, squeezed, **shared)
        self.excite = Convolution(squeezed, width, **shared)

    @jax.named_scope("squeeze_excitation")
    def __call__(self, x: jax.Array) -> jax.Array:
        """(clips, frames, height, width, channels) → the same."""
        means = jnp.mean(x, axis=(1, 2, 3), keepdims=True, dtype=jnp.float32).astype(x.dtype)
        return x * jax.nn.sigmoid(self.excite(jax.nn.relu(self.squeeze(means))))


class X3DBlock(nnx.Module):
    """relu(shortcut(x) + c(swish(excitation(b(a(x)))))), where a and c are 1×1×1 and b is 3×3×3 of
    each channel.

    Args:
        squeezed: channels of squeeze-and-excitation; None for a block without it.
    """

    def __init__(
        self,
        in_width: int,
        inner_width: int,
        out_width: int,
        *,
        stride: int,
        squeezed: int | None,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        shared: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.a = NormedConvolution(in_width, inner_width, **shared)
        self.b = NormedConvolution(
            inner_width,
            inner_width,
            (3, 3, 3),
            strides=(1, stride, stride),
            groups=inner_width,
            is_linear=True,
            **shared,
        )
        self.excitation = (
            None if squeezed is None else SqueezeExcitation(inner_width, squeezed, **shared)
        )
        self.c = NormedConvolution(inner_width, out_width, is_last=True, **shared)
        self.shortcut = shortcut(in_width, out_width, stride, **shared)

    @jax.named_scope("block")
    def __call__(self, x: jax.Array, *, training: bool = False) -> jax.Array:
        """(clips, frames, height, width, in_width) → (…, height/stride, width/stride, out_width),
        rounded up."""
        branch = self.b(self.a(x, training=training), training=training)
        if self.excitation is not None:
            branch = self.excitation(branch)
        branch = self.c(jax.nn.swish(branch), training=training)
        if self.shortcut is not None:
            x = self.shortcut(x, training=training)
        return jax.nn.relu(x + branch)


class X3D(PositionClassifier):
    """Scores the classes of a clip.

    Examples:
        >>> model = X3D(X3D_ARCHITECTURES["X3D-M"], num_classes=140, rngs=nnx.Rngs(0))
        >>> model(clips)  # (clips, 140)
    """

    def __init__(
        self,
        architecture: X3DArchitecture,
        *,
        num_classes: int,
        dropout_rate: float = 0.5,
        dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        super().__init__(architecture.head_width, num_classes, dropout_rate=dropout_rate, rngs=rngs)
        self.architecture = architecture
        shared: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        stem_width, last = architecture.stem_width, architecture.stages[-1]
        self.stem_space = Convolution(3, stem_width, (1, 3, 3), strides=(1, 2, 2), **shared)
        self.stem_time = NormedConvolution(
            stem_width, stem_width, (architecture.stem_kernel, 1, 1), groups=stem_width, **shared
        )

        def stage(number: int) -> nnx.List[X3DBlock]:
            widths = architecture.stages[number - 2]
            in_width = stem_width if number == 2 else architecture.stages[number - 3].out
            return nnx.List(
                [
                    X3DBlock(
                        widths.out if index else in_width,
                        widths.inner,
                        widths.out,
                        stride=1 if index else 2,
                        squeezed=None if index % 2 else widths.squeezed,
                        **shared,
                    )
                    for index in range(widths.blocks)
                ]
            )

        self.stage2, self.stage3, self.stage4, self.stage5 = map(stage, (2, 3, 4, 5))
        self.head_bottleneck = NormedConvolution(last.out, last.inner, **shared)
        self.head_expansion = Convolution(last.inner, architecture.head_width, **shared)

    def stages(self, clips: jax.Array, *, training: bool = False) -> list[jax.Array]:
        """The features that the stem and the four stages give, see the table above."""
        x = self.stem_time(self.stem_space(clips), training=training)
        features = [x]
        for stage in (self.stage2, self.stage3, self.stage4, self.stage5):
            x = through(stage, x, training=training)
            features.append(x)
        return features

    def head_means(self, features: jax.Array, *, training: bool = False) -> jax.Array:
        """The last stage's features, made wider, as means over the window at every position."""
        side = -(-self.architecture.image_size // SPATIAL_STRIDE)
        window = (self.architecture.num_frames, side, side)
        return window_means(self.head_bottleneck(features, training=training), window)

    def encode_video(
        self, clips: jax.Array, *, training: bool | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        """See `PositionClassifier.encode_video`; features of `head_width`."""
        frames, size = self.architecture.num_frames, self.architecture.image_size
        check_clips(clips.shape, num_frames=frames, image_size=size, model="X3D")
        training = is_training(training, key)
        means = self.head_means(self.stages(clips, training=training)[-1], training=training)
        return jax.nn.relu(self.head_expansion(means)).astype(jnp.float32)
