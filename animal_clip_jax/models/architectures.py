"""Dimensions of the CLIP towers: the four published architectures and any other."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ClipArchitecture:
    """Dimensions of a CLIP image tower and text tower.

    Attributes:
        embed_dim: width of the space that images and texts share.
        image_size: side of the square input in pixels.
        patch_size: side of a patch in pixels; divides `image_size`.
        vision_width: of the image tower's transformer.
        vision_layers: its blocks.
        vision_heads: its attention heads.
        text_width: of the text tower's transformer.
        text_layers: its blocks.
        text_heads: its attention heads.
        context_length: longest text in tokens.
        vocab_size: number of token embeddings.
        activation: "quick_gelu" (OpenAI CLIP, X-CLIP, Animal-CLIP) or "gelu" (OpenCLIP, BioCLIP).
    """

    embed_dim: int
    image_size: int
    patch_size: int
    vision_width: int
    vision_layers: int
    vision_heads: int
    text_width: int
    text_layers: int
    text_heads: int
    context_length: int = 77
    vocab_size: int = 49408
    activation: str = "quick_gelu"

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "activation":
                if value not in ("quick_gelu", "gelu"):
                    raise ValueError(
                        f"architecture.activation is {value!r}; expected 'quick_gelu' or 'gelu'"
                    )
            elif not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"architecture.{field.name} is {value!r}; expected a positive integer"
                )
        if self.image_size % self.patch_size:
            raise ValueError(
                f"architecture.image_size {self.image_size} is not a multiple of "
                f"architecture.patch_size {self.patch_size}"
            )
        for tower in ("vision", "text"):
            width, heads = getattr(self, f"{tower}_width"), getattr(self, f"{tower}_heads")
            if width % heads:
                raise ValueError(
                    f"architecture.{tower}_width {width} is not a multiple of "
                    f"architecture.{tower}_heads {heads}"
                )

    @property
    def num_patches(self) -> int:
        """Patches an image."""
        return (self.image_size // self.patch_size) ** 2


def heads_of(width: int) -> int:
    """Number of attention heads that CLIP gives a transformer of this width (64 channels each)."""
    return max(1, width // 64)


def dimensions(architecture: ClipArchitecture) -> dict[str, int | str]:
    """The fields of an architecture by name."""
    return dataclasses.asdict(architecture)


def _openai(patch_size: int, image_size: int, *, large: bool) -> ClipArchitecture:
    vision_width, vision_layers, text_width = (1024, 24, 768) if large else (768, 12, 512)
    return ClipArchitecture(
        embed_dim=text_width,
        image_size=image_size,
        patch_size=patch_size,
        vision_width=vision_width,
        vision_layers=vision_layers,
        vision_heads=heads_of(vision_width),
        text_width=text_width,
        text_layers=12,
        text_heads=heads_of(text_width),
    )


ARCHITECTURES = {
    "ViT-B/32": _openai(32, 224, large=False),
    "ViT-B/16": _openai(16, 224, large=False),
    "ViT-L/14": _openai(14, 224, large=True),
    "ViT-L/14@336": _openai(14, 336, large=True),
}

# For pictures of 32 pixels and a few thousand texts: trained on two cores in minutes.
TINY = ClipArchitecture(
    embed_dim=64,
    image_size=32,
    patch_size=8,
    vision_width=64,
    vision_layers=3,
    vision_heads=2,
    text_width=64,
    text_layers=2,
    text_heads=1,
    context_length=40,
)
