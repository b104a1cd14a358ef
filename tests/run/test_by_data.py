"""Batch, epochs and loss that follow the data: what they are, that it is said, and recorded."""

import pytest
import tiny_run
from first_step import first_step
from hypothesis import given
from hypothesis import strategies as st

from animal_clip_jax.run.by_data import LEFT_TO_DATA, following, left_to_data
from animal_clip_jax.run.config import check_fields
from animal_clip_jax.run.schema import flat_config
from animal_clip_jax.run.start import resolved
from animal_clip_jax.run.workdir import read_config
from configs import default, own_footage


def closed(clips, *, multi_label=False, shares=1, **fields):
    config = own_footage.get_config()
    config.update(fields)
    return following(config, clips=clips, actions=9, multi_label=multi_label, shares=shares)


@pytest.mark.parametrize(
    ("clips", "batch", "accumulation", "epochs"),
    [
        (1, 1, 1, 100),
        (8, 4, 1, 100),
        (100, 8, 1, 100),  # 12 steps an epoch
        (300, 32, 2, 100),  # 9 steps
        (1000, 64, 4, 80),  # 15 steps: 1200 in all
        (30_000, 64, 4, 30),
    ],
)
def test_sizes_follow_the_number_of_clips(clips, batch, accumulation, epochs):
    config, said = closed(clips)
    assert (config.batch_size, config.accumulation, config.epochs) == (batch, accumulation, epochs)
    assert f"({clips} clips to train on, each with one action)" in said
    assert f"batch_size {batch}" in said and "loss cross_entropy" in said


@given(st.integers(8, 100_000), st.sampled_from([1, 2, 4, 8]), st.booleans())
def test_what_follows_the_data_can_be_trained_with(clips, shares, multi_label):
    config, _ = closed(clips, shares=shares, multi_label=multi_label)
    check_fields(config)
    assert not left_to_data(config) and 1 <= config.batch_size <= clips
    micro_batch, rest = divmod(config.batch_size, config.accumulation * shares)
    assert rest == 0 and micro_batch <= 16 and 30 <= config.epochs <= 100


def test_several_actions_a_clip_change_the_loss():
    config, said = closed(100, multi_label=True)
    assert config.loss == "binary_cross_entropy" and "some with several actions" in said


def test_what_is_given_stays_and_the_rest_follows_it():
    config, said = closed(100, batch_size=24, epochs=3, loss="focal")
    assert (config.batch_size, config.epochs, config.loss) == (24, 3, "focal")
    assert config.accumulation == 2 and "batch_size" not in said and "accumulation 2" in said
    config, said = following(default.get_config(), clips=8, actions=9, multi_label=True, shares=1)
    assert flat_config(config) == flat_config(default.get_config()) and not said


def test_a_run_records_what_followed_and_goes_on_with_it(data, tmp_path):
    config = tiny_run.config_on(data)
    config.update_from_flattened_dict({name: "" if name == "loss" else 0 for name in LEFT_TO_DATA})
    assert set(left_to_data(config)) == set(LEFT_TO_DATA) - {"model.num_classes"}
    assert first_step(config, tmp_path / "run").batch["frames"].shape[0] == 4
    recorded = read_config(tmp_path / "run")
    assert (recorded.batch_size, recorded.epochs, recorded.loss) == (4, 100, "cross_entropy")
    # Whatever the data is then.
    found = resolved(config, recorded)
    assert not left_to_data(found) and found.batch_size == 4
