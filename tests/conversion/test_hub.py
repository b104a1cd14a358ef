"""Models by their name on Hugging Face's hub: which sources are names, and what is fetched.

The hub's own library runs, in a process of its own since it reads its settings when it is imported.
It talks to a server on this machine, or finds what it needs in a cache as it lays it out.
"""

import os
import pathlib
import subprocess
import sys

import hub_server
import open_clip
import pytest

from animal_clip_jax.conversion.conversion import convert
from animal_clip_jax.conversion.hub import is_name, local_path
from animal_clip_jax.conversion.weights import load_weights

PROGRAM = """
import sys
from animal_clip_jax.conversion.hub import local_path
from animal_clip_jax.errors import UserError
try:
    print(local_path(sys.argv[1]))
except UserError as error:
    print("error:", error)
"""


def look_up(source: str, **settings: object) -> str:
    """What `local_path` gives or says of a source under settings of the hub's library."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, source],
        env=os.environ | {name: str(value) for name, value in settings.items()},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr
    (line,) = result.stdout.splitlines()
    return line


@pytest.fixture
def files(tmp_path) -> dict[str, bytes]:
    """A model as OpenCLIP publishes one, and what else lies beside such models."""
    open_clip.write(tmp_path / "model")
    files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    others = ("README.md", "flax_model.msgpack", "tf_model.h5", "open_clip_pytorch_model.bin")
    return files | {name: b"of no use here" for name in others}


def test_what_is_a_name_and_what_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("weights").mkdir()
    pathlib.Path("openai", "here").mkdir(parents=True)
    names = (
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        "hf-hub:imageomics/bioclip",
        "owner/model@v1.0",
    )
    paths = (
        "weights",
        "ViT-B-16.pt",
        "weights/nothing",  # the folder is there
        "openai/here",
        "openai/nothing",
        "./a/b",
        "../b",
        "/a/b",
        "~/b",
        "a/b/c",
        "a/b.pt",
        "a/b.pth",
        "a/b.safetensors",
        "a/open_clip_config.json",
        "hf-hub:",
    )
    assert [name for name in (*names, *paths) if is_name(name)] == list(names)
    assert local_path("weights/nothing") == pathlib.Path("weights/nothing")


def test_only_what_is_read_is_fetched(files, tmp_path):
    cache = tmp_path / "cache"
    with hub_server.serve(files) as hub:
        found = look_up(f"hf-hub:{hub_server.NAME}", HF_ENDPOINT=hub.url, HF_HUB_CACHE=cache)
    folder = pathlib.Path(found)
    assert folder.is_relative_to(cache) and folder.name == hub_server.COMMIT
    wanted = ["open_clip_config.json", "open_clip_model.safetensors"]
    assert hub.fetched == wanted == sorted(path.name for path in folder.iterdir())
    for name in wanted:
        assert (folder / name).read_bytes() == files[name]


def test_a_torch_file_is_fetched_where_there_are_no_safetensors(files, tmp_path):
    del files["open_clip_model.safetensors"]
    with hub_server.serve(files) as hub:
        look_up(hub_server.NAME, HF_ENDPOINT=hub.url, HF_HUB_CACHE=tmp_path / "cache")
    assert hub.fetched == ["open_clip_config.json", "open_clip_pytorch_model.bin"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("owner/gated", "accept it on https://huggingface.co/owner/gated and log in"),
        ("owner/unknown", "there is no model of that name, or it is private"),
        (f"{hub_server.NAME}@v9", "it has no revision v9"),
        (hub_server.NAME, "has no weights that can be read; expected open_clip_config.json with"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_line(source, message, tmp_path):
    with hub_server.serve({"README.md": b"a tokenizer"}) as hub:
        found = look_up(source, HF_ENDPOINT=hub.url, HF_HUB_CACHE=tmp_path / "cache")
    assert found.startswith(f"error: {source.partition('@')[0]}: ") and message in found


def test_without_a_network_it_is_said_in_one_line(tmp_path):
    with hub_server.serve({}) as hub:
        pass  # nobody answers there any more
    found = look_up("owner/model", HF_ENDPOINT=hub.url, HF_HUB_CACHE=tmp_path)
    assert found.startswith("error: owner/model: no such file or folder here, and the model of")
    assert "Hugging Face did not answer (Connect" in found
    assert found.endswith("A folder that was downloaded elsewhere can be given instead")
    found = look_up("owner/model", HF_HUB_OFFLINE=1, HF_HUB_CACHE=tmp_path)
    assert f"HF_HUB_OFFLINE is set, and {tmp_path} does not hold it" in found


def test_a_model_in_the_cache_is_converted_without_a_network(files, tmp_path):
    """A cache as the hub's library leaves it: files under their digests, links, and a reference."""
    model = tmp_path / "cache" / "models--imageomics--tiny"
    snapshot = model / "snapshots" / hub_server.COMMIT
    for folder in (model / "blobs", snapshot, model / "refs"):
        folder.mkdir(parents=True)
    (model / "refs" / "main").write_text(hub_server.COMMIT)
    for number, name in enumerate(("open_clip_config.json", "open_clip_model.safetensors")):
        (model / "blobs" / f"{number:040}").write_bytes(files[name])
        (snapshot / name).symlink_to(pathlib.Path("..", "..", "blobs", f"{number:040}"))
    command = [sys.executable, "-m", "animal_clip_jax.convert"]
    command += ["--source=hf-hub:imageomics/tiny", f"--output={tmp_path / 'ours'}"]
    settings = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "cache")}
    result = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found, expected = load_weights(tmp_path / "ours"), convert(tmp_path / "model")
    assert found.metadata == expected.metadata
    for path, value in expected.parameters.items():
        assert found.parameters[path].tobytes() == value.tobytes(), path
