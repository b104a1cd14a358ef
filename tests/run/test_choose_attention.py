"""Which attention a run takes: here on a CPU, which has no fused one, and elsewhere."""

import dataclasses
import shutil
import types
import warnings

import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict
from tiny_run import config_on, get_config

from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.loading import load
from animal_clip_jax.models import parameters
from animal_clip_jax.models.attention import RECOMPUTED, XLA
from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.run import assembly
from animal_clip_jax.run.attention import attention_in_use, choose_attention
from animal_clip_jax.run.evaluate import evaluate
from animal_clip_jax.run.resume import earlier_run
from animal_clip_jax.run.train import train
from animal_clip_jax.run.trained_run import TrainedRun
from data_pipeline.dataset import load_info


def model_config(attention: str) -> ConfigDict:
    return config_on("", model__attention=attention).model


def here():
    return make_mesh({"data": -1, "fsdp": 1, "model": 1})


def with_attention(run: TrainedRun, attention: str) -> TrainedRun:
    """The run, had it been trained with this."""
    config = run.config.copy_and_resolve_references()
    config.model.attention = attention
    return dataclasses.replace(run, config=config)


def test_on_a_cpu():
    assert choose_attention(model_config("xla"), here()) == (XLA, "")
    attention, note = choose_attention(model_config("auto"), here())
    assert attention == RECOMPUTED and note == "attention is not fused: cpu devices have none"
    with pytest.raises(UserError, match="config.model.attention is 'fused', but cpu devices have"):
        choose_attention(model_config("fused"), here())


@pytest.mark.parametrize(
    ("remat", "attention", "policy"),
    [
        ("auto", RECOMPUTED, "dots"),
        ("auto", XLA, "none"),
        ("none", RECOMPUTED, "none"),
        ("blocks", RECOMPUTED, "blocks"),
    ],
)
def test_processors_keep_products_only_unless_told_otherwise(remat, attention, policy):
    config = config_on("", model__remat=remat).model
    assert assembly.remat_policy(config, attention) == policy
    graphdef, values = assembly.abstract_model(config, attention)
    assert parameters.merge(graphdef, values).visual.remat == policy


@pytest.mark.parametrize(
    ("asked", "note"), [("auto", "attention is fused: a Pallas kernel"), ("fused", "")]
)
def test_on_a_tpu(asked, note):
    """A mesh of devices that are not at hand, of which the first is asked what it is."""
    elsewhere = types.SimpleNamespace(
        devices=np.array([types.SimpleNamespace(platform="tpu", device_kind="TPU v6e")]),
        shape={"model": 1},
    )
    attention, found = choose_attention(model_config(asked), elsewhere)
    assert (attention.kernel, attention.mesh, found) == ("pallas", elsewhere, note)


def on_a_gpu(dtype: str, attention: str):
    """What is chosen for eight H100s that are not at hand."""
    elsewhere = types.SimpleNamespace(
        devices=np.array([types.SimpleNamespace(platform="gpu", compute_capability="9.0")] * 8),
        shape={"model": 1},
    )
    config = config_on("", model__attention=attention, model__dtype=dtype)
    return choose_attention(config.model, elsewhere)


@pytest.mark.parametrize(
    ("asked", "note"), [("auto", "attention is fused: cuDNN's"), ("fused", "")]
)
def test_on_a_gpu(asked, note):
    attention, found = on_a_gpu("bfloat16", asked)
    assert (attention.kernel, found) == ("cudnn", note)


def test_on_a_gpu_in_float32():
    why = "a GPU's computes in bfloat16, not in float32"
    assert on_a_gpu("float32", "auto") == (XLA, f"attention is not fused: {why}")
    with pytest.raises(UserError, match=f"config.model.attention is 'fused', but {why}"):
        on_a_gpu("float32", "fused")


def test_a_training_refuses_what_cannot_be_before_it_looks_for_data(tmp_path):
    config = config_on(tmp_path / "nowhere", model__attention="fused")
    with pytest.raises(UserError, match="config.model.attention is 'fused'"):
        train(config, tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("field", [{"model__attention": "xla"}, {"model__remat": "none"}])
def test_a_run_goes_on_with_other_attention_and_remat(run, data, field):
    config = config_on(data, **field)
    assert get_config().model.attention == get_config().model.remat == "auto"
    earlier = earlier_run(config, epath.Path(run), load_info(data))
    assert earlier is not None and earlier.step == TrainedRun.open(run).step


def test_an_evaluation_refuses_what_cannot_be(run, data):
    with pytest.raises(UserError, match="config.model.attention is 'fused'"):
        evaluate(run, config_on(data, model__attention="fused"))


def test_a_run_that_was_trained_with_fused_attention_is_used_where_there_is_none(run):
    trained = with_attention(TrainedRun.open(run), "fused")
    chosen = attention_in_use(trained.config, trained, here())
    assert chosen == (RECOMPUTED, "attention is not fused: cpu devices have none")


def test_what_is_not_fused_is_said(run, data, tmp_path, capsys):
    """If the training's was fused; of a processor, nobody expects it otherwise."""
    note = "attention is not fused: cpu devices have none"
    evaluate(run, config_on(data, model__attention="auto"))
    assert note not in capsys.readouterr().out
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(run)
    elsewhere = tmp_path / "run"
    shutil.copytree(run, elsewhere)
    recorded = elsewhere / "config.json"
    recorded.write_text(recorded.read_text().replace('"attention": "auto"', '"attention": "fused"'))
    fused = config_on(data, model__attention="fused")
    evaluate(elsewhere, fused)
    assert capsys.readouterr().out.count(note) == 1
    with pytest.warns(UserWarning, match=note):
        load(elsewhere, config=fused)
