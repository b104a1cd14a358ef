"""An image–text model as OpenCLIP stores one (BioCLIP's form), with random weights."""

import json
import pathlib

import numpy as np
import published
from safetensors.numpy import save_file

from animal_clip_jax.conversion.conversion import convert
from animal_clip_jax.conversion.weights import save_weights

SIZE = published.GRID * published.PATCH
VOCABULARY = 49408

CONFIG = {
    "model_cfg": {
        "embed_dim": published.EMBED,
        "vision_cfg": {
            "image_size": SIZE,
            "layers": published.LAYERS,
            "width": published.VISION,
            "patch_size": published.PATCH,
            "head_width": 32,
        },
        "text_cfg": {
            "context_length": published.CONTEXT,
            "vocab_size": VOCABULARY,
            "width": published.TEXT,
            "heads": 4,
            "layers": published.LAYERS,
        },
    },
    "preprocess_cfg": {"mean": [0.5, 0.25, 0.0], "std": [0.5, 1.0, 0.25], "size": [SIZE, SIZE]},
}


def write(folder: pathlib.Path) -> None:
    """Writes the checkpoint; its vocabulary is the real one."""
    tensors = published.state_dict("clip")
    random = np.random.default_rng(0)
    tensors["token_embedding.weight"] = random.normal(0, 0.02, (VOCABULARY, published.TEXT)).astype(
        np.float32
    )
    folder.mkdir()
    save_file(tensors, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))


def convert_to(source: pathlib.Path, folder: pathlib.Path, family: str | None = None) -> None:
    """Converts the checkpoint, to another family if given."""
    conversion = convert(source, family=family)
    save_weights(folder, conversion.parameters, conversion.metadata)
