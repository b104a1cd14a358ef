"""A training run up to its first step: all that reaches the step, with nothing trained."""

import contextlib
import pathlib
from typing import Any, NamedTuple

import jax
import pytest
from ml_collections import ConfigDict

from animal_clip_jax.run import train as train_module
from data_pipeline.batches import input as input_pipeline


class FirstStep(NamedTuple):
    """What a run hands to its first step.

    Attributes:
        graphdef, optimizer, loss, options: the arguments of `make_train_step`.
        feed: the arguments of `train_batches` by name.
        state, batch, classes: the arguments of the step.
    """

    graphdef: Any
    optimizer: Any
    loss: Any
    options: dict[str, Any]
    feed: dict[str, Any]
    state: Any
    batch: dict[str, Any]
    classes: Any


class _Reached(Exception):
    """Ends the run."""


def first_step(config: ConfigDict, workdir: pathlib.Path) -> FirstStep:
    """Calls `train`, and ends it where it would take its first step, which is given the shapes that
    it was to be compiled for."""
    feeds: list[dict[str, Any]] = []
    reached: list[FirstStep] = []
    make_batches = input_pipeline.train_batches

    def train_batches(directory, **arguments):
        feeds.append({"directory": directory, **arguments})
        return make_batches(directory, **arguments)

    class Step:
        def __init__(self, graphdef, optimizer, loss, **options):
            self._made_of = (graphdef, optimizer, loss, options)

        def lower(self, *shapes):
            self._shapes = shapes
            return self

        def compile(self):
            return self

        def cost_analysis(self):
            return None

        def __call__(self, state, batch, classes):
            assert jax.eval_shape(lambda *given: given, state, batch, classes) == self._shapes
            reached.append(FirstStep(*self._made_of, feeds[-1], state, batch, classes))
            raise _Reached

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(_Reached):
        patch.setattr(input_pipeline, "train_batches", train_batches)
        patch.setattr(train_module, "make_train_step", Step)
        train_module.train(config, workdir)
    (found,) = reached
    return found
