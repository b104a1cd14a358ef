"""Animal-CLIP in JAX: animal action recognition from video and language.

import animal_clip_jax
model = animal_clip_jax.load("runs/demo/run")
answer = model.predict("clip.mp4")
"""

from typing import TYPE_CHECKING, Any

from animal_clip_jax.version import VERSION as __version__

if TYPE_CHECKING:
    from animal_clip_jax.inference.loading import load as load
    from animal_clip_jax.inference.predictor import Predictor as Predictor

__all__ = ["Predictor", "__version__", "load"]


def __getattr__(name: str) -> Any:
    # Imported when they are asked for: the rest of the package needs neither jax nor a model.
    if name in ("Predictor", "load"):
        from animal_clip_jax.inference import loading

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
