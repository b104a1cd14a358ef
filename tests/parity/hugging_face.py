"""Random-weight models of the transformers library, saved as it saves them."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from animal_clip_jax.conversion.conversion import convert
from animal_clip_jax.models import parameters
from animal_clip_jax.models.description import build

VOCABULARY, CONTEXT = 60, 10


def randomise(model, seed: int = 0) -> None:
    """Gives every parameter values that matter: the library's own start out as ones and zeros."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("alpha"):
                value.copy_(0.5 + 0.1 * noise)
            elif "norm" in name or "message_ln" in name:
                value.copy_((1 if name.endswith("weight") else 0) + 0.1 * noise)
            elif value.ndim >= 2:
                fan = value.shape[0] if name.endswith("visual_projection") else value[0].numel()
                value.copy_(noise / fan**0.5)
            elif value.ndim == 1:
                value.copy_(0.1 * noise)


def tokens(texts: int, seed: int = 0) -> np.ndarray:
    """(texts, CONTEXT) int32, each row with its end token (the largest id) somewhere."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, VOCABULARY - 1, (texts, CONTEXT))
    ids[np.arange(texts), rng.integers(2, CONTEXT, texts)] = VOCABULARY - 1
    return ids.astype(np.int32)


def converted(folder) -> nnx.Module:
    """Our model with the weights of a saved one."""
    conversion = convert(folder)
    assert not conversion.metadata.initialised and not conversion.dropped
    graphdef, _ = parameters.abstract(
        lambda: build(
            conversion.metadata.model, dtype=jnp.float32, rngs=parameters.rngs_for_shapes()
        )
    )
    return parameters.merge(graphdef, jax.device_put(conversion.parameters))


def relative_error(found, expected) -> float:
    """‖found - expected‖ / ‖expected‖."""
    expected = expected.detach().numpy()
    return float(np.linalg.norm(np.asarray(found) - expected) / np.linalg.norm(expected))
