"""MViT, a transformer over clips whose attention pools its tokens (Fan et al. 2021, version 1).

From stage to stage the tokens get fewer and wider: some blocks pool their queries on the grid of
frames, rows and columns; keys and values are pooled further, so that attention stays affordable
where the grid is fine. There is no text in it.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.convolve import convolve
from animal_clip_jax.models.initial_values import NEW_STD, normal, symmetric_uniform
from animal_clip_jax.models.layers import layer_norm
from animal_clip_jax.models.pooling_attention import (
    NORM_EPSILON,
    BlockShape,
    Grid,
    PoolingBlock,
    padding,
)
from animal_clip_jax.models.rematerialisation import REMAT_POLICIES
from animal_clip_jax.models.video_model import VideoModel


@dataclasses.dataclass(frozen=True)
class MViTArchitecture:
    """Dimensions of an MViT.

    Attributes:
        num_frames: frames a clip.
        image_size: side of the square input in pixels.
        patch_kernel: of the convolution that makes patches, (frames, rows, columns), odd.
        patch_stride: its stride; divides the clip.
        width: of the first block.
        heads: of the first block.
        depth: number of blocks.
        pooling_blocks: those that pool the queries; heads and width double there.
        query_stride: of their pooling.
        key_value_stride: of the pooling of keys and values in block 0; each pooling of the queries
            divides it, so that they keep their number.
        pool_kernel: of all these poolings, odd.
        pools_unstrided: whether keys and values are pooled where their stride has come to 1 (in
            PySlowFast and in the image form; not in the baselines' release).
        separate_positions: learn positions of frames, of places and of the class token, which are
            added, in place of one for each token.
    """

    num_frames: int
    image_size: int = 224
    patch_kernel: Grid = (3, 7, 7)
    patch_stride: Grid = (2, 4, 4)
    width: int = 96
    heads: int = 1
    depth: int = 16
    pooling_blocks: tuple[int, ...] = (1, 3, 14)
    query_stride: Grid = (1, 2, 2)
    key_value_stride: Grid = (1, 8, 8)
    pool_kernel: Grid = (3, 3, 3)
    pools_unstrided: bool = False
    separate_positions: bool = True

    def __post_init__(self):
        for field in dataclasses.fields(self):  # lists, as JSON has them, are as good
            if isinstance(getattr(self, field.name), list):
                object.__setattr__(self, field.name, tuple(getattr(self, field.name)))
        for name, size, stride in (
            ("num_frames", self.num_frames, self.patch_stride[0]),
            ("image_size", self.image_size, self.patch_stride[1]),
            ("image_size", self.image_size, self.patch_stride[2]),
        ):
            if size < 1 or size % stride:
                raise UserError(
                    f"{name} is {size}; MViT's patches, which begin every {stride}, need a "
                    f"multiple of {stride}"
                )
        for name in ("width", "heads", "depth"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; expected a positive integer")
        if self.width % self.heads:
            raise UserError(f"width {self.width} is not a multiple of heads {self.heads}")
        if not all(0 < index < self.depth for index in self.pooling_blocks):
            raise UserError(
                f"pooling_blocks are {self.pooling_blocks}; expected some of {self.depth} blocks, "
                "counted from 0, but not the first"
            )
        for name in ("patch_kernel", "pool_kernel"):
            if not all(size % 2 for size in getattr(self, name)):
                raise UserError(f"{name} is {getattr(self, name)}; expected odd sizes")

    @property
    def grid(self) -> Grid:
        """Of the first block's tokens."""
        frames, rows, columns = self.patch_stride
        return self.num_frames // frames, self.image_size // rows, self.image_size // columns

    @property
    def blocks(self) -> tuple[BlockShape, ...]:
        """The blocks, first to last."""
        shapes = []
        width, heads, stride = self.width, self.heads, self.key_value_stride
        for index in range(self.depth):
            pools = index in self.pooling_blocks
            query_stride = self.query_stride if pools else (1, 1, 1)
            if pools:
                heads *= 2
                frames, rows, columns = (
                    max(old // pooled, 1) for old, pooled in zip(stride, query_stride, strict=True)
                )
                stride = (frames, rows, columns)
            # The MLP of the block before a pooling widens the tokens.
            out_width = 2 * width if index + 1 in self.pooling_blocks else width
            pools_keys = self.pools_unstrided or stride != (1, 1, 1)
            shapes.append(BlockShape(width, out_width, heads, query_stride, stride, pools_keys))
            width = out_width
        return tuple(shapes)


MVIT_ARCHITECTURES = {
    "MViT-B 16x4": MViTArchitecture(num_frames=16),
    # PySlowFast's own: keys and values pass a convolution in blocks 14 and 15 too.
    "MViT-B 16x4 PySlowFast": MViTArchitecture(num_frames=16, pools_unstrided=True),
    "MViT-B image": MViTArchitecture(
        num_frames=1,
        patch_kernel=(1, 7, 7),
        patch_stride=(1, 4, 4),
        key_value_stride=(1, 4, 4),
        pool_kernel=(1, 3, 3),
        pools_unstrided=True,
        separate_positions=False,
    ),
    "tiny": MViTArchitecture(
        num_frames=4,
        image_size=32,
        width=16,
        depth=4,
        pooling_blocks=(1, 3),
        key_value_stride=(1, 4, 4),
    ),
}


class MViT(VideoModel):
    """Scores the actions of a clip by a transformer whose attention pools its tokens.

    Examples:
        >>> model = MViT(MVIT_ARCHITECTURES["MViT-B 16x4"], num_classes=140, rngs=nnx.Rngs(0))
        >>> model(clips)  # (clips, 140) logits

    Args:
        num_classes: logits a clip.
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0.
        remat: what the backward pass computes again, a key of `REMAT_POLICIES`.
        dtype: of the computation; parameters are float32.
    """

    def __init__(
        self,
        architecture: MViTArchitecture,
        *,
        num_classes: int,
        drop_path_rate: float = 0.0,
        remat: str = "none",
        dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.architecture, self.remat, self.dtype = architecture, remat, dtype
        width, kernel = architecture.width, architecture.patch_kernel
        init = normal(NEW_STD)
        patch_init = symmetric_uniform((3 * math.prod(kernel)) ** -0.5)
        self.patch_embedding = nnx.Conv(
            3,
            width,
            kernel,
            strides=architecture.patch_stride,
            padding=padding(kernel),
            kernel_init=patch_init,
            bias_init=patch_init,
            conv_general_dilated=convolve,
            dtype=dtype,
            rngs=rngs,
        )

        def learned(*shape: int) -> nnx.Param:
            return nnx.Param(init(rngs.params(), shape, jnp.float32))

        frames, rows, columns = architecture.grid
        self.class_embedding = learned(width)
        if architecture.separate_positions:
            self.class_position_embedding = learned(width)
            self.spatial_position_embedding = learned(rows * columns, width)
            self.temporal_position_embedding = learned(frames, width)
        else:
            self.position_embedding = learned(1 + frames * rows * columns, width)
        rates = np.linspace(0.0, drop_path_rate, architecture.depth)
        self.blocks = nnx.List(
            [
                PoolingBlock(
                    shape,
                    architecture.pool_kernel,
                    drop_path_rate=float(rate),
                    dtype=dtype,
                    rngs=rngs,
                )
                for shape, rate in zip(architecture.blocks, rates, strict=True)
            ]
        )
        out_width = architecture.blocks[-1].out_width
        self.final_norm = layer_norm(out_width, epsilon=NORM_EPSILON, dtype=dtype, rngs=rngs)
        self.head = nnx.Linear(out_width, num_classes, kernel_init=init, rngs=rngs)

    @jax.named_scope("embedding")
    def embed(self, clips: jax.Array) -> jax.Array:
        """What the first block takes: clips as for `encode_video` → (clips, 1 + tokens, width)."""
        architecture = self.architecture
        size = architecture.image_size
        if clips.shape[1:] != (architecture.num_frames, size, size, 3):
            raise UserError(
                f"clips are {clips.shape[1:]} (frames, height, width, channels); this MViT takes "
                f"{(architecture.num_frames, size, size, 3)}"
            )
        patches = self.patch_embedding(clips.astype(self.dtype))
        patches = patches.reshape(clips.shape[0], -1, architecture.width)
        class_token = jnp.broadcast_to(
            self.class_embedding.astype(self.dtype), (clips.shape[0], 1, architecture.width)
        )
        tokens = jnp.concatenate([class_token, patches], axis=1)
        return tokens + self._positions().astype(self.dtype)

    def _positions(self) -> jax.Array:
        """(1 + tokens, width), tokens ordered by frame, row and column."""
        if not self.architecture.separate_positions:
            return self.position_embedding[...]
        spatial = self.spatial_position_embedding[...]
        patches = self.temporal_position_embedding[...][:, None] + spatial
        class_position = self.class_position_embedding[...][None]
        return jnp.concatenate([class_position, patches.reshape(-1, spatial.shape[-1])])

    def encode_video(self, clips: jax.Array, *, key: jax.Array | None = None) -> jax.Array:
        """Encodes clips.

        Args:
            clips: (clips, num_frames, image_size, image_size, 3) normalised pixels, float.
            key: random key for stochastic depth, None outside training.

        Returns:
            (clips, width of the last block): the class token, normed, in the computation's dtype.

        Raises:
            UserError: clips of another shape (when it is traced).
        """
        depth = self.architecture.depth
        keys = (None,) * depth if key is None else jax.random.split(key, depth)
        x, grid = self.embed(clips), self.architecture.grid
        for block, block_key in zip(self.blocks, keys, strict=True):
            x = self._apply(block, x, grid, block_key)
            grid = block.grid_after(grid)
        return self.final_norm(x[:, 0])

    def _apply(
        self, block: PoolingBlock, x: jax.Array, grid: Grid, key: jax.Array | None
    ) -> jax.Array:
        graphdef, values = nnx.split(block)

        def apply(values, x, key):
            return nnx.merge(graphdef, values)(x, grid, key=key)

        if self.remat != "none":
            apply = jax.checkpoint(apply, policy=REMAT_POLICIES[self.remat])
        return apply(values, x, key)

    @jax.named_scope("projection")
    def score_encoded(
        self,
        videos: jax.Array,
        classes: ClassContext | None = None,
        animal_weights: jax.Array | None = None,
        *,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Scores clips that have been through `encode_video`: (clips, width) → logits (clips,
        num_classes), float32. The other arguments are not used."""
        del classes, animal_weights, key
        return self.head(videos.astype(jnp.float32))
