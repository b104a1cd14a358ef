import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, PartitionSpec
from tiny_run import on_devices

from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_clip import AnimalCLIP
from animal_clip_jax.models.architectures import ARCHITECTURES
from animal_clip_jax.models.xclip import XCLIP
from animal_clip_jax.parallel import mesh as mesh_lib

LARGE = 2**18  # values; smaller arrays may be replicated


def _shape(data: int, fsdp: int, model: int) -> dict[str, int]:
    return {"data": data, "fsdp": fsdp, "model": model}


def _mesh(data: int, fsdp: int, model: int) -> AbstractMesh:
    return AbstractMesh((data, fsdp, model), mesh_lib.AXES)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((8, 1, 1), (8, 1, 1)),
        ((-1, 1, 1), (8, 1, 1)),
        ((2, -1, 2), (2, 2, 2)),
        ((4, 2, -1), (4, 2, 1)),
    ],
)
def test_mesh_of_eight_devices(shape, expected):
    # The same device eight times: a mesh arranges devices, and nothing runs on this one.
    mesh = mesh_lib.make_mesh(_shape(*shape), jax.devices()[:1] * 8)
    assert mesh.axis_names == ("data", "fsdp", "model")
    assert mesh.devices.shape == expected


def test_mesh_takes_all_devices_unless_told():
    assert mesh_lib.make_mesh(_shape(-1, 1, 1)).size == len(jax.devices())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (4, 1, 1),
            "is data 4 × fsdp 1 × model 1 = 4 devices, but there are 8; set one axis to -1",
        ),
        ((-1, 3, 1), "= 6 devices, but there are 8; choose the other axes so that"),
        ((-1, 16, 1), "= 16 devices, but there are 8"),
        ((-1, -1, 1), "expected positive sizes, at most one of them -1"),
        ((0, 8, 1), "expected positive sizes"),
        ((-2, 4, 1), "expected positive sizes"),
    ],
)
def test_a_mesh_that_does_not_fit(shape, message):
    with pytest.raises(ValueError, match=message):
        mesh_lib.make_mesh(_shape(*shape), jax.devices()[:1] * 8)


@pytest.fixture(scope="module", params=[AnimalCLIP, XCLIP])
def shapes(request) -> dict[str, tuple[int, ...]]:
    """Of every parameter of a full-size ViT-B/16."""
    _, abstract = parameters.abstract(
        lambda: request.param(ARCHITECTURES["ViT-B/16"], rngs=parameters.rngs_for_shapes())
    )
    return {path: value.shape for path, value in abstract.items()}


def _axes(spec: PartitionSpec) -> list[str]:
    return [axis for axis in spec if axis is not None]


@pytest.mark.parametrize("sizes", [(2, 4, 1), (1, 4, 2), (1, 8, 4), (1, 5, 7)])
def test_every_sharding_is_possible(shapes, sizes):
    mesh = _mesh(*sizes)
    for path, shape in shapes.items():
        spec = mesh_lib.partition_spec(path, shape, mesh)
        assert len(set(_axes(spec))) == len(_axes(spec)), path
        for size, axis in zip(shape, spec, strict=False):
            assert axis is None or size % mesh.shape[axis] == 0, path


def test_every_large_parameter_is_spread_over_fsdp(shapes):
    for path, shape in shapes.items():
        spec = mesh_lib.partition_spec(path, shape, _mesh(2, 4, 1))
        assert ("fsdp" in _axes(spec)) == (np.prod(shape) >= LARGE or "kernel" in path), path


def test_heads_and_hidden_units_are_spread_over_model(shapes):
    """Every block's attention and MLP; the kernel that leads in is split by its output, the one
    that leads out by its input, so that nothing is exchanged between the two."""
    mesh = _mesh(1, 2, 4)
    expected = {
        ".query_key_value.kernel": ("fsdp", None, "model", None),
        "attention.out.kernel": ("model", None, "fsdp"),
        "mlp.expand.kernel": ("fsdp", "model"),
        "mlp.contract.kernel": ("model", "fsdp"),
    }
    found = 0
    for path, shape in shapes.items():
        for ending, spec in expected.items():
            if path.startswith(("visual.", "text.")) and path.endswith(ending):
                assert tuple(mesh_lib.partition_spec(path, shape, mesh)) == spec, path
                found += 1
    # 12 blocks of 4 in either tower, and 12 times 2 for the messages between frames.
    assert found == 2 * 12 * 4 + 12 * 2


def test_an_axis_that_does_not_divide_is_left_out():
    path, mesh = "visual.blocks.0.attention.query_key_value.kernel", _mesh(1, 5, 4)
    assert tuple(mesh_lib.partition_spec(path, (768, 3, 12, 64), mesh)) == (
        None,
        None,
        "model",
        None,
    )


def test_optimizer_moments_lie_as_their_parameters():
    mesh = mesh_lib.make_mesh(_shape(1, 1, 1), jax.devices()[:1])
    path = "visual.blocks.0.mlp.expand.kernel"
    leaf = jax.ShapeDtypeStruct((768, 3072), np.float32)
    tree = {"parameters": {path: leaf}, "optimizer": [{"mu": {path: leaf}}, leaf]}
    shardings = mesh_lib.tree_shardings(tree, mesh)
    spec = PartitionSpec("fsdp", "model")
    assert shardings["parameters"][path].spec == spec
    assert shardings["optimizer"][0]["mu"][path].spec == spec
    assert shardings["optimizer"][1].spec == PartitionSpec()


@pytest.mark.parametrize(
    ("batch_size", "accumulation", "fits"),
    [(64, 4, True), (8, 1, True), (64, 16, False), (12, 1, False), (0, 1, True)],
)
def test_micro_batches_must_divide_over_the_devices(batch_size, accumulation, fits):
    mesh = _mesh(4, 2, 3)  # model does not share a batch
    if fits:
        mesh_lib.check_batch_size(batch_size, accumulation, mesh)
        return
    message = (
        f"config.batch_size {batch_size} is not a multiple of config.accumulation .*; take a "
        f"multiple of {8 * accumulation}"
    )
    with pytest.raises(ValueError, match=message):
        mesh_lib.check_batch_size(batch_size, accumulation, mesh)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    """What `eight_devices.py` saved for every mesh; two processes, as compiling takes one core."""
    folder = tmp_path_factory.mktemp("trained")
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                str(pathlib.Path(__file__).with_name("eight_devices.py")),
                folder,
                *meshes,
            ],
            env=on_devices(8),
            stderr=subprocess.PIPE,
            text=True,
        )
        for meshes in (
            ("1,1,1", "8,1,1", "2,2,2,fused"),
            ("2,4,1", "2,2,2", "1,1,1,contrastive", "2,1,1,contrastive", "4,2,1,contrastive"),
        )
    ]
    errors = [process.communicate()[1] for process in processes]
    for process, error in zip(processes, errors, strict=True):
        assert process.returncode == 0, error
    saved = {}
    for path in folder.glob("*.npz"):
        with np.load(path) as archive:
            saved[path.stem] = dict(archive)
    return saved


@pytest.mark.parametrize("mesh", ["8,1,1", "2,4,1", "2,2,2", "2,2,2,fused"])
def test_eight_devices_train_as_one(trained, mesh):
    """Augmentation, MixUp, stochastic depth and withheld animals included: five steps of AdamW.
    And the fused kernel, each device on its own rows and heads."""
    expected, found = trained["1,1,1"], trained[mesh]
    np.testing.assert_allclose(found["losses"], expected["losses"], rtol=1e-5)
    for path in expected.keys() - {"losses", "num_spread_moments"}:
        difference = np.linalg.norm(found[path] - expected[path])
        assert difference <= 1e-5 * np.linalg.norm(expected[path]), path


@pytest.mark.parametrize("mesh", ["2,1,1", "4,2,1"])
def test_the_pairs_of_all_devices_are_told_from_one_another(trained, mesh):
    """The loss is over the whole batch: over the share of a device it would be smaller."""
    expected, found = trained["1,1,1,contrastive"], trained[f"{mesh},contrastive"]
    np.testing.assert_allclose(found["losses"], expected["losses"], rtol=1e-5)
    for path in expected.keys() - {"losses", "num_spread_moments"}:
        difference = np.linalg.norm(found[path] - expected[path])
        assert difference <= 1e-4 * np.linalg.norm(expected[path]), path


def test_moments_are_spread_where_there_is_an_axis_to_spread_them_over(trained):
    spread = {mesh: int(saved["num_spread_moments"]) for mesh, saved in trained.items()}
    assert spread["1,1,1"] == spread["8,1,1"] == 0 < spread["2,4,1"] < spread["2,2,2"]
