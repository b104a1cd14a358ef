"""Flax NNX modules: pure array code with plain arguments."""
