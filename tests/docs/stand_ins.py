"""Small stand-ins for what the pages ask a reader to bring: videos, weights, data sets.

The commands are run as they are written. What they find is small: videos of 32 pixels, weights of
two blocks with random values in the published layouts, and configurations of two epochs.
"""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys

import made_pairs
import numpy as np
import open_clip
import published
import tiny_run

_SMALLER = '''

_published = get_config


def get_config():
    """The same, small enough for a test of the pages' commands."""
    config = _published()
    config.epochs = 2
    config.warmup_epochs = 1
    config.batch_size = 16
    config.accumulation = 2
    config.evaluation.every_epochs = 2
    config.evaluation.temporal_views = 1
    config.evaluation.crops = 1
    config.checkpoint.every_epochs = 2
    for field in ("num_actions", "num_animals"):
        if config.data[field]:
            config.data[field] = 8
    return config
'''
_REVISION = "0" * 40


def copy_project(folder: pathlib.Path) -> None:
    """The files of the repository, with smaller configurations, and fewer clips in the demo."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=tiny_run.ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        if (tiny_run.ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tiny_run.ROOT / name, folder / name)
    for config in (folder / "configs").glob("*.py"):
        if "def get_config" in (text := config.read_text()):
            config.write_text(text + _SMALLER)
    makefile = (folder / "Makefile").read_text()
    rendering = "data_pipeline.synthetic --output=$(1)/videos $(2)"
    fewer = f"{rendering} --train_clips=48 --test_clips=1 --size=16 --num_frames=4"
    fewer += " --stills=72 --test_stills=36"
    for long, short in ((rendering, fewer), ("--steps=200", "--steps=3 --batch_size=16")):
        assert long in makefile, long
        makefile = makefile.replace(long, short)
    (folder / "Makefile").write_text(makefile)


def add_environment(folder: pathlib.Path) -> None:
    """`.venv`, as `make` makes it, whose programs are those of this interpreter."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "animal-clip"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {pathlib.Path(sys.executable).parent}/{name} "$@"\n')
        program.chmod(0o755)
    for name in ("run.stamp", "test.stamp"):
        (folder / ".venv" / name).touch()


def add_videos(folder: pathlib.Path) -> None:
    """Labelled clips, as one's own and as two of the published data sets; and one to predict."""
    rendered = folder.parent / "rendered"
    tiny_run.render(rendered, train=2)
    videos = rendered / "videos"
    shutil.copy(videos / "Walking" / "Fox_train_000.mp4", folder / "clip.mp4")
    clips = tiny_run.clips(train=2)
    for place in (folder, folder / "footage"):
        shutil.copytree(videos, place / "videos")
    shutil.copytree(videos, folder / "recordings")  # a folder for each action
    rows = [[clip.path, clip.animal, clip.action, clip.split] for clip in clips]
    _write_table(
        folder / "clips.csv", [["video", "animals", "actions", "split"], *rows], delimiter=","
    )
    _write_table(
        folder / "footage" / "clips.csv",
        [
            ["Video", "Start", "Stop", "Animals", "Actions"],
            *([video, 0, "0:00.5", *names] for video, *names, _ in rows),
        ],
        delimiter=";",
    )
    columns = ["Source", "Subject", "Behavior", "Behavior type", "Start (s)", "Stop (s)"]
    events = [
        [f"player #1:/home/ann/videos/{video}", "Kira", action, "STATE", "0.000", "0.500"]
        for video, _, action, _ in rows
    ]
    (folder / "boris").mkdir()
    _write_table(folder / "boris" / "events.tsv", [columns, *events], delimiter="\t")
    kingdom = folder / "AnimalKingdom"
    shutil.copytree(videos, kingdom / "videos")
    (kingdom / "annotations").mkdir()
    for split in ("train", "test"):
        lines = [
            f"{clip.path}\t[({clip.animal!r}, {clip.action!r})]\n"
            for clip in clips
            if clip.split == split
        ]
        (kingdom / "annotations" / f"{split}.txt").write_text("".join(lines))
    tiny_run.convert_videos(rendered, folder / "data" / "lote_animal")


def _write_table(path: pathlib.Path, rows: list[list], *, delimiter: str) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def add_pictures(folder: pathlib.Path) -> None:
    """Pictures with a list of what is on them."""
    pictures = folder / "pictures"
    pictures.mkdir()
    rows = [["image", "text", "label", "split"]]
    for number, pair in enumerate(made_pairs.pairs(range(8))):
        (pictures / f"{number}.png").write_bytes(pair.image)
        split = "test" if number > 5 else "train"
        rows += [[f"{number}.png", text, pair.label, split] for text in pair.texts]
    _write_table(pictures / "pairs.csv", rows, delimiter=",")


def add_weights(folder: pathlib.Path, hub: pathlib.Path) -> None:
    """Weights with random values: OpenAI's file, and models of Hugging Face in its cache.

    Args:
        folder: of the project.
        hub: the cache, for HF_HUB_CACHE.
    """
    import torch

    tensors = published.state_dict("clip")
    tensors["token_embedding.weight"] = (
        np.random.default_rng(0)
        .normal(0, 0.02, (open_clip.VOCABULARY, published.TEXT))
        .astype(np.float32)
    )
    torch.save(
        {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()},
        folder / "ViT-B-16.pt",
    )
    open_clip.write(_snapshot(hub, "imageomics/bioclip"))
    _write_hugging_face_clip(_snapshot(hub, "openai/clip-vit-base-patch16"))


def _snapshot(hub: pathlib.Path, name: str) -> pathlib.Path:
    """Where a model of Hugging Face lies in its cache; the folder is not there yet."""
    model = hub / f"models--{name.replace('/', '--')}"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(_REVISION)
    (model / "snapshots").mkdir()
    return model / "snapshots" / _REVISION


def _write_hugging_face_clip(folder: pathlib.Path) -> None:
    import torch
    from transformers import CLIPConfig, CLIPModel

    size = published.GRID * published.PATCH
    tower = {"num_hidden_layers": published.LAYERS, "num_attention_heads": 2}
    config = CLIPConfig(
        projection_dim=published.EMBED,
        text_config=tower
        | {
            "hidden_size": published.TEXT,
            "intermediate_size": 4 * published.TEXT,
            "max_position_embeddings": 77,
            "vocab_size": open_clip.VOCABULARY,
            "bos_token_id": 49406,
            "eos_token_id": 49407,
        },
        vision_config=tower
        | {
            "hidden_size": published.VISION,
            "intermediate_size": 4 * published.VISION,
            "image_size": size,
            "patch_size": published.PATCH,
        },
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_mean": [0.48145466, 0.4578275, 0.40821073],
                "image_std": [0.26862954, 0.26130258, 0.27577711],
            }
        )
    )


def environment(folder: pathlib.Path, hub: pathlib.Path) -> dict[str, str]:
    """Variables for the commands: the copy's code, this interpreter's programs, no network."""
    programs = (folder / ".venv" / "bin", pathlib.Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": os.pathsep.join([*map(str, programs), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(folder),
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "HF_HUB_CACHE": str(hub),
        "HF_HUB_OFFLINE": "1",
        "XDG_CACHE_HOME": str(folder.parent / "cache"),
    }
