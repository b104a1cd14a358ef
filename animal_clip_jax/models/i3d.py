"""I3D: a ResNet whose first convolutions also look along time (Carreira and Zisserman 2017).

The ResNet-50 form of PySlowFast, whose Kinetics weights it takes, after Wang et al. 2018:

    stage                                                       frames    side    width
    stem    convolution 5×7×7, max pool 1×3×3, strides 2        T         S/4     64
    stage2  3 blocks                                            T         S/4     256
            max pool 2×1×1                                      T/2       S/4     256
    stage3  4 blocks, the first strided                         T/2       S/8     512
    stage4  6 blocks, the first strided                         T/2       S/16    1024
    stage5  3 blocks, the first strided                         T/2       S/32    2048
    mean over T/2×S/32×S/32, dropout, projection                                  classes
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
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
class I3DArchitecture:
    """Dimensions of an I3D.

    Attributes:
        num_frames: frames of the clips that it is for; the temporal pool must leave one.
        image_size: side of their square frames in pixels, a multiple of 32.
        width: channels of the stem; the stages have 4, 8, 16 and 32 times as many.
        depths: blocks of each of the four stages.
        stem_kernel: frames that the stem's convolution looks at.
        temporal_kernels: of each stage, frames that the first convolution of its blocks looks at;
            repeated over its blocks.
        temporal_blocks: how many blocks of each stage look at several frames; None for all.
        temporal_pool: frames that become one after stage2.
    """

    num_frames: int = 8
    image_size: int = 224
    width: int = 64
    depths: tuple[int, ...] = (3, 4, 6, 3)
    stem_kernel: int = 5
    temporal_kernels: tuple[tuple[int, ...], ...] = ((3,), (3, 1), (3, 1), (1, 3))
    temporal_blocks: tuple[int, ...] | None = None
    temporal_pool: int = 2

    def __post_init__(self):
        check_integers(self)
        if self.num_frames < self.temporal_pool:
            raise UserError(
                f"architecture.num_frames is {self.num_frames}; an I3D pools {self.temporal_pool} "
                f"frames to one: expected at least {self.temporal_pool}"
            )
        check_image_size(self.image_size)

    def block_kernels(self, stage: int) -> tuple[int, ...]:
        """Frames that each block of stage 2, 3, 4 or 5 looks at."""
        depth, kernels = self.depths[stage - 2], self.temporal_kernels[stage - 2]
        temporal = depth if self.temporal_blocks is None else self.temporal_blocks[stage - 2]
        return tuple(
            kernels[index % len(kernels)] if index < temporal else 1 for index in range(depth)
        )


I3D_ARCHITECTURES = {
    "I3D R50 8x8": I3DArchitecture(),
    "tiny": I3DArchitecture(image_size=32, width=16, depths=(1, 1, 1, 1)),
}


class I3D(PositionClassifier):
    """Scores the classes of a clip.

    Examples:
        >>> model = I3D(I3D_ARCHITECTURES["I3D R50 8x8"], num_classes=140, rngs=nnx.Rngs(0))
        >>> model(clips)  # (clips, 140)
    """

    def __init__(
        self,
        architecture: I3DArchitecture,
        *,
        num_classes: int,
        dropout_rate: float = 0.5,
        dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        width = architecture.width
        super().__init__(32 * width, num_classes, dropout_rate=dropout_rate, rngs=rngs)
        shared: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.architecture = architecture
        self.stem = NormedConvolution(
            3, width, (architecture.stem_kernel, 7, 7), strides=(1, 2, 2), **shared
        )

        def stage(number: int, in_width: int, inner_width: int) -> nnx.List[BottleneckBlock]:
            return bottleneck_stage(
                in_width,
                inner_width,
                temporal_kernels=architecture.block_kernels(number),
                stride=1 if number == 2 else 2,
                **shared,
            )

        self.stage2 = stage(2, width, width)
        self.stage3 = stage(3, 4 * width, 2 * width)
        self.stage4 = stage(4, 8 * width, 4 * width)
        self.stage5 = stage(5, 16 * width, 8 * width)

    def stages(self, clips: jax.Array, *, training: bool = False) -> list[jax.Array]:
        """The features that the stem and the four stages give, see the table above."""
        pool = self.architecture.temporal_pool
        x = max_pool(self.stem(clips, training=training), (1, 3, 3), (1, 2, 2))
        features = [x, through(self.stage2, x, training=training)]
        x = max_pool(features[-1], (pool, 1, 1), (pool, 1, 1))
        for stage in (self.stage3, self.stage4, self.stage5):
            x = through(stage, x, training=training)
            features.append(x)
        return features

    def encode_video(
        self, clips: jax.Array, *, training: bool | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        """See `PositionClassifier.encode_video`; features of 32 times the stem's width."""
        frames, size = self.architecture.num_frames, self.architecture.image_size
        check_clips(clips.shape, num_frames=frames, image_size=size, model="I3D")
        side = size // SPATIAL_STRIDE
        window = (frames // self.architecture.temporal_pool, side, side)
        return window_means(self.stages(clips, training=is_training(training, key))[-1], window)
