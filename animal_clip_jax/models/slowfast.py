"""SlowFast: few frames through a wide network, all of them through a narrow one (Feichtenhofer et
al. 2019).

As in PySlowFast, whose Kinetics weights it takes. Two ResNets without a temporal pool. The slow one
sees T/α frames and has W = 64 channels after its stem; the fast one sees all T and has W/β. After
the stem and after stages 2, 3 and 4, the fast features, C of them, are brought to the slow frames
by a convolution along time with stride α and appended there, 2·C of them:

    stage                     slow: T/α frames                  fast: T frames          side
    stem                      1×7×7, 64, then 80 with fast      5×7×7, 8                S/4
    stage2, stage3            256 (320), 512 (640); 1×1×1       32, 64; 3×1×1           S/4, S/8
    stage4, stage5            1024 (1280), 2048; 3×1×1          128, 256; 3×1×1         S/16, S/32
    mean of each over T/α×S/32×S/32 and T×S/32×S/32, joined (2304), dropout, projection
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.clip_checks import (
    SPATIAL_STRIDE,
    check_clips,
    check_image_size,
    check_integers,
)
from animal_clip_jax.models.convolution import (
    BottleneckBlock,
    NormedConvolution,
    bottleneck_stage,
    max_pool,
    through,
    window_means,
)
from animal_clip_jax.models.position_classifier import PositionClassifier, is_training


@dataclasses.dataclass(frozen=True)
class SlowFastArchitecture:
    """Dimensions of a SlowFast.

    Attributes:
        num_frames: frames of a clip, a multiple of `alpha`; the fast pathway sees them all.
        image_size: side of the square frames in pixels, a multiple of 32.
        width: channels of the slow pathway's stem; its stages have 4, 8, 16 and 32 times as many.
        depths: blocks of each of the four stages, in both pathways.
        alpha: how many times as many frames the fast pathway sees.
        beta: how many times as many channels the slow pathway has.
        slow_stem_kernel, fast_stem_kernel: frames that the stems' convolutions look at.
        slow_kernels, fast_kernels: frames that the first convolution of a block looks at, a stage.
        fusion_kernel: frames that a convolution from fast to slow looks at.
        fusion_ratio: its outputs for each fast channel.
    """

    num_frames: int = 32
    image_size: int = 224
    width: int = 64
    depths: tuple[int, ...] = (3, 4, 6, 3)
    alpha: int = 4
    beta: int = 8
    slow_stem_kernel: int = 1
    fast_stem_kernel: int = 5
    slow_kernels: tuple[int, ...] = (1, 1, 3, 3)
    fast_kernels: tuple[int, ...] = (3, 3, 3, 3)
    fusion_kernel: int = 7
    fusion_ratio: int = 2

    def __post_init__(self):
        check_integers(self)
        if self.width % self.beta:
            raise UserError(
                f"architecture.width is {self.width}; expected a multiple of beta {self.beta}"
            )
        check_image_size(self.image_size)
        slow_frames(self.num_frames, self.alpha)


def slow_frames(num_frames: int, alpha: int) -> tuple[int, ...]:
    """Which frames the slow pathway sees: num_frames/alpha from the first to the last.

    Raises:
        UserError: alpha does not divide the number of frames.
    """
    if num_frames % alpha:
        raise UserError(
            f"clips of {num_frames} frames for a SlowFast whose slow pathway sees every "
            f"{alpha}th (alpha): expected a multiple of {alpha}"
        )
    count = num_frames // alpha
    return tuple(index * (num_frames - 1) // max(count - 1, 1) for index in range(count))


SLOWFAST_ARCHITECTURES = {
    "SlowFast R50 8x8": SlowFastArchitecture(),
    "SlowFast R50 4x16": SlowFastArchitecture(alpha=8, fusion_kernel=5),
    "tiny": SlowFastArchitecture(num_frames=8, image_size=32, width=16, depths=(1, 1, 1, 1)),
}


class Pathway(nnx.Module):
    """A stem and four stages of bottleneck blocks.

    Args:
        fused_widths: channels that are appended to the inputs of the four stages.
    """

    def __init__(
        self,
        width: int,
        depths: tuple[int, ...],
        *,
        stem_kernel: int,
        temporal_kernels: tuple[int, ...],
        fused_widths: tuple[int, ...],
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        shared: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.stem = NormedConvolution(3, width, (stem_kernel, 7, 7), strides=(1, 2, 2), **shared)

        def stage(number: int, in_width: int, inner_width: int) -> nnx.List[BottleneckBlock]:
            index = number - 2
            return bottleneck_stage(
                in_width + fused_widths[index],
                inner_width,
                temporal_kernels=(temporal_kernels[index],) * depths[index],
                stride=1 if number == 2 else 2,
                **shared,
            )

        self.stage2 = stage(2, width, width)
        self.stage3 = stage(3, 4 * width, 2 * width)
        self.stage4 = stage(4, 8 * width, 4 * width)
        self.stage5 = stage(5, 16 * width, 8 * width)

    def begin(self, clips: jax.Array, *, training: bool = False) -> jax.Array:
        """Through the stem and its pool: a quarter of the side."""
        return max_pool(self.stem(clips, training=training), (1, 3, 3), (1, 2, 2))


class StageFeatures(NamedTuple):
    """What a stage gives: (clips, frames, height, width, channels) of each pathway.

    Attributes:
        slow, fast: of the pathways.
        fused: the slow ones with those from the fast pathway after them, which the next stage
            sees; None after the last.
    """

    slow: jax.Array
    fast: jax.Array
    fused: jax.Array | None


class SlowFast(PositionClassifier):
    """Scores the classes of a clip.

    Examples:
        >>> architecture = SLOWFAST_ARCHITECTURES["SlowFast R50 8x8"]
        >>> model = SlowFast(architecture, num_classes=140, rngs=nnx.Rngs(0))
        >>> model(clips)  # (clips, 140)
    """

    def __init__(
        self,
        architecture: SlowFastArchitecture,
        *,
        num_classes: int,
        dropout_rate: float = 0.5,
        dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        slow_width, fast_width = architecture.width, architecture.width // architecture.beta
        super().__init__(
            32 * (slow_width + fast_width), num_classes, dropout_rate=dropout_rate, rngs=rngs
        )
        self.architecture = architecture
        shared: dict[str, Any] = {"depths": architecture.depths, "dtype": dtype, "rngs": rngs}
        fast_widths = tuple(times * fast_width for times in (1, 4, 8, 16))
        self.slow = Pathway(
            slow_width,
            stem_kernel=architecture.slow_stem_kernel,
            temporal_kernels=architecture.slow_kernels,
            fused_widths=tuple(architecture.fusion_ratio * width for width in fast_widths),
            **shared,
        )
        self.fast = Pathway(
            fast_width,
            stem_kernel=architecture.fast_stem_kernel,
            temporal_kernels=architecture.fast_kernels,
            fused_widths=(0, 0, 0, 0),
            **shared,
        )

        def fusion(width: int) -> NormedConvolution:
            return NormedConvolution(
                width,
                architecture.fusion_ratio * width,
                (architecture.fusion_kernel, 1, 1),
                strides=(architecture.alpha, 1, 1),
                dtype=dtype,
                rngs=rngs,
            )

        self.fusion1, self.fusion2, self.fusion3, self.fusion4 = map(fusion, fast_widths)

    def stages(self, clips: jax.Array, *, training: bool = False) -> list[StageFeatures]:
        """The features that the stems and the four stages give, see the table above."""
        slow, fast = self.slow, self.fast
        indices = np.array(slow_frames(clips.shape[1], self.architecture.alpha))
        x = slow.begin(clips[:, indices], training=training)
        y = fast.begin(clips, training=training)
        features = []
        for fusion, slow_stage, fast_stage in (
            (self.fusion1, slow.stage2, fast.stage2),
            (self.fusion2, slow.stage3, fast.stage3),
            (self.fusion3, slow.stage4, fast.stage4),
            (self.fusion4, slow.stage5, fast.stage5),
        ):
            fused = jnp.concatenate([x, fusion(y, training=training)], axis=-1)
            features.append(StageFeatures(x, y, fused))
            x = through(slow_stage, fused, training=training)
            y = through(fast_stage, y, training=training)
        return [*features, StageFeatures(x, y, None)]

    def encode_video(
        self, clips: jax.Array, *, training: bool | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        """See `PositionClassifier.encode_video`; the slow features, then the fast ones.

        Raises:
            UserError: clips of another number of frames, whose positions in time would differ
                between the pathways, or that are too small for the window.
        """
        frames, size = self.architecture.num_frames, self.architecture.image_size
        check_clips(clips.shape, num_frames=frames, image_size=size, model="SlowFast")
        if clips.shape[1] != frames:
            slow_frames(clips.shape[1], self.architecture.alpha)
            raise UserError(
                f"clips have {clips.shape[1]} frames; this SlowFast takes {frames}: build one of "
                "as many"
            )
        last = self.stages(clips, training=is_training(training, key))[-1]
        side = size // SPATIAL_STRIDE
        slow = window_means(last.slow, (frames // self.architecture.alpha, side, side))
        fast = window_means(last.fast, (frames, side, side))
        return jnp.concatenate([slow, fast], axis=-1)
