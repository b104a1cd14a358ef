"""Descriptions of classes, written by a language model; `animal_clip_jax.prompts.write` runs it."""
