"""The reader of torch archives against torch itself, and against archives made to do harm."""

import collections
import io
import pickle
import zipfile

import numpy as np
import pytest

from animal_clip_jax.conversion.inert_pickle import Holder
from animal_clip_jax.conversion.torch_archive import TorchArchive, module_tensors

torch = pytest.importorskip("torch")


class Settings(dict):
    """Stands for a configuration class whose package is not installed where it is read."""

    def __init__(self):
        super().__init__(lr=8e-6)
        self.frozen = True


def _rewrite(path, member: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in members if name.endswith(member))
    members[name] = content
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    "dtype",
    [
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
    ],
)
def test_reads_what_torch_saved(tmp_path, dtype):
    base = torch.arange(24).to(getattr(torch, dtype))
    tensors = {
        "plain": base.reshape(4, 6),
        "transposed": base.reshape(4, 6).t(),
        "a view": base[5:17].reshape(3, 4)[:, 1:3],
        "scalar": base[7],
        "empty": base[:0].reshape(0, 3),
        "parameter": torch.nn.Parameter(base, requires_grad=False),
    }
    torch.save(tensors, tmp_path / "a.pt")
    with TorchArchive(tmp_path / "a.pt") as archive:
        assert not archive.is_script
        for key, tensor in tensors.items():
            found = archive.read(archive.content[key], key)
            assert found.shape == tuple(tensor.shape)
            expected = tensor.detach().float().numpy()
            np.testing.assert_array_equal(found.astype(np.float32), expected)


def test_objects_of_other_packages_become_inert_holders(tmp_path):
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    content = {
        "model": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "config": Settings(),
        "max_accuracy": np.float64(0.5),
        "groups": {frozenset({1}), frozenset({2})},
        "order": collections.deque([1, 2]),
    }
    torch.save(content, tmp_path / "a.pth")
    with TorchArchive(tmp_path / "a.pth") as archive:
        settings = archive.content["config"]
        assert isinstance(settings, Holder) and not isinstance(settings, Settings)
        assert dict(settings) == {"lr": 8e-6} and settings.attributes == {"frozen": True}
        weight = archive.read(archive.content["model"]["weight"], "weight")
    np.testing.assert_array_equal(weight, module.weight.detach().numpy())


class _Attack:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def test_executes_nothing(tmp_path):
    import os
    import pathlib

    proof = tmp_path / "executed"
    attack = {
        "model": {"weight": torch.ones(2)},
        "a": _Attack(os.system, f"touch {proof}"),
        "b": _Attack(pathlib.Path.touch, proof),
        "c": _Attack(eval, f"open({str(proof)!r}, 'w')"),
        "d": _Attack(getattr, torch.nn.Linear, "forward"),
    }
    torch.save(attack, tmp_path / "a.pth")
    pickle.loads(pickle.dumps(_Attack(os.system, f"touch {proof}.by_pickle")))
    assert (tmp_path / "executed.by_pickle").exists(), "the attack itself works"
    with TorchArchive(tmp_path / "a.pth") as archive:
        assert archive.read(archive.content["model"]["weight"], "weight").tolist() == [1, 1]
    assert not proof.exists()


@pytest.mark.parametrize(
    "module, name",
    [
        ("torch._utils", "_rebuild_tensor_v2"),
        ("collections", "OrderedDict"),
        ("torch", "FloatStorage"),
    ],
)
def test_a_pickle_cannot_change_the_reader(tmp_path, module, name):
    """A pickle may set attributes of what it names; nothing of that outlives the reading."""
    torch.save({"weight": torch.ones(2)}, tmp_path / "a.pth")
    # GLOBAL module name, then BUILD with the attributes {"__call__": None, "name": "evil"}.
    program = b"\x80\x02c" + f"{module}\n{name}\n".encode()
    program += b"}(X\x04\x00\x00\x00nameX\x04\x00\x00\x00evilX\x08\x00\x00\x00__call__Nub."
    _rewrite(tmp_path / "a.pth", "data.pkl", program)
    with pytest.raises(ValueError, match=r"a\.pth: its data\.pkl cannot be read"):
        TorchArchive(tmp_path / "a.pth")
    torch.save({"weight": torch.ones(2)}, tmp_path / "b.pth")
    with TorchArchive(tmp_path / "b.pth") as archive:
        assert archive.read(archive.content["weight"], "weight").tolist() == [1, 1]


def _saved(tensor) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": tensor}, buffer)
    return buffer.getvalue()


def test_truncated(tmp_path):
    data = _saved(torch.ones(500))
    for length in (5, len(data) // 2, len(data) - 1):
        path = tmp_path / f"{length}.pth"
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=rf"{length}\.pth: the file is truncated or damaged"):
            TorchArchive(path)


def test_a_zip_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match="not a torch checkpoint"):
        TorchArchive(tmp_path / "a.pth")


def test_changed_bytes(tmp_path):
    path = tmp_path / "a.pth"
    data = bytearray(_saved(torch.arange(500.0)))
    position = data.index(np.arange(500, dtype=np.float32).tobytes())
    data[position + 100] ^= 1
    path.write_bytes(data)
    with (
        TorchArchive(path) as archive,
        pytest.raises(ValueError, match=r"a\.pth: weight: .* damaged"),
    ):
        archive.read(archive.content["weight"], "weight")


def test_too_few_bytes(tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(_saved(torch.ones(500)))
    _rewrite(path, "data/0", b"\0" * 12)
    with TorchArchive(path) as archive, pytest.raises(ValueError, match="12 bytes; expected 2000"):
        archive.read(archive.content["weight"], "weight")


@pytest.mark.parametrize(
    "offset, shape, strides",
    [
        (0, (600,), (1,)),
        (400, (200,), (1,)),
        # One value beyond the end.
        (1, (500,), (1,)),
        (500, (1,), (1,)),
        (0, (2,), (500,)),
        (1, (50, 10), (10, 1)),
        (-1, (3,), (1,)),
        (0, (2,), (-1,)),
        (0, (10**9,), (0,)),
    ],
)
def test_views_stay_inside_their_storage(tmp_path, offset, shape, strides):
    path = tmp_path / "a.pth"
    path.write_bytes(_saved(torch.ones(500)))
    with TorchArchive(path) as archive:
        tensor = archive.content["weight"]._replace(offset=offset, shape=shape, strides=strides)
        with pytest.raises(ValueError, match="weight: shape .* does not fit"):
            archive.read(tensor, "weight")


@pytest.mark.parametrize(
    "offset, shape, strides",
    [
        (0, (500,), (1,)),
        (1, (499,), (1,)),
        (499, (1,), (1,)),
        (499, (), ()),
        (0, (2,), (499,)),
        (1, (2, 3), (248, 125)),
    ],
)
def test_views_may_end_with_their_storage(tmp_path, offset, shape, strides):
    path, base = tmp_path / "a.pth", torch.arange(500)
    path.write_bytes(_saved(base))
    with TorchArchive(path) as archive:
        tensor = archive.content["weight"]._replace(offset=offset, shape=shape, strides=strides)
        found = archive.read(tensor, "weight")
    expected = torch.as_strided(base, shape, strides, offset)
    assert expected.max() == 499
    np.testing.assert_array_equal(found, expected.numpy())


class _Inner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 8, 4, bias=False)
        self.attn = torch.nn.MultiheadAttention(8, 2)
        self.register_buffer("attn_mask", torch.full((3, 3), float("-inf")))

    def forward(self, images):
        tokens = self.conv1(images).flatten(2).permute(2, 0, 1)
        return self.attn(tokens, tokens, tokens)[0]


class _Outer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.visual = _Inner()
        self.blocks = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8))
        self.logit_scale = torch.nn.Parameter(torch.tensor(2.5))

    def forward(self, images):
        return self.blocks(self.visual(images)) * self.logit_scale.exp()


@pytest.mark.parametrize("compile", ["trace", "script"])
def test_torchscript(tmp_path, compile):
    module = _Outer().eval()
    if compile == "trace":
        scripted = torch.jit.trace(module, torch.ones(2, 3, 8, 8))
    else:
        scripted = torch.jit.script(module)
    scripted.half().save(tmp_path / "a.pt")
    expected = torch.jit.load(tmp_path / "a.pt").state_dict()
    with TorchArchive(tmp_path / "a.pt") as archive:
        assert archive.is_script
        found = module_tensors(archive.content)
        assert found.keys() == expected.keys()
        for key, tensor in found.items():
            values = archive.read(tensor, key)
            assert values.dtype == np.float16
            np.testing.assert_array_equal(values, expected[key].numpy())
