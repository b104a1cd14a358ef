"""Descriptions of classes, written by a language model; `animal_clip_jax.describe` runs it."""
