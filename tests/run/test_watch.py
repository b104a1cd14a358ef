"""Figures of steps that are no numbers."""

import jax.numpy as jnp
import numpy as np
import pytest

from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.watch import StepWatch

GOOD = {"loss": 0.5, "gradient_norm": 2.0, "parameter_norm": 3.0}


@pytest.fixture
def watch(tmp_path):
    checkpoints = RunCheckpoints(tmp_path)
    yield StepWatch(tmp_path, checkpoints)
    checkpoints.close()


def on_device(figures):
    return {name: jnp.float32(value) for name, value in figures.items()}


def test_the_figures_of_the_last_step(watch):
    assert watch.check() == {}
    for step, loss in ((1, 0.75), (2, 0.5)):
        watch.add(step, on_device({**GOOD, "loss": loss}), ["a", "b"])
    assert watch.check() == GOOD
    assert watch.check() == {}


@pytest.mark.parametrize("name", ["loss", "gradient_norm", "parameter_norm"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_figure_that_is_not_finite(watch, tmp_path, name, value):
    """Found in an earlier step too, which is named with its clips."""
    watch.add(6, on_device(GOOD), ["zebra"])
    watch.add(7, on_device({**GOOD, name: value}), ["lion", "crane"])
    watch.add(8, on_device(GOOD), ["fox"])
    with pytest.raises(FloatingPointError) as error:
        watch.check()
    message = str(error.value)
    assert message.startswith(f"step 7: {name} is {value}; its clips: lion, crane; ")
    assert str(tmp_path) in message and "zebra" not in message and "fox" not in message
