"""Animal-CLIP in JAX: animal action recognition from video and language."""

__version__ = "0.1.0"
