"""A run on a handful of rendered videos: its data, its configuration and its command line.

Also a configuration file: `python main.py --config=tests/tiny_run.py`.
"""

import itertools
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp
from ml_collections import ConfigDict

from animal_clip_jax.digests import sealed
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.start import as_published
from configs import default
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.conversion.dataset_writer import Options, convert
from data_pipeline.synthetic.motions import PAIRS
from data_pipeline.synthetic.plan import UNSEEN_PAIRS, Clip
from data_pipeline.synthetic.scenes import SCENES
from data_pipeline.synthetic.videos import write_clips

ROOT = pathlib.Path(__file__).parent.parent
ANIMALS = ("Bear", "Cow", "Elephant", "Flamingo", "Fox", "Giraffe", "Llama", "Zebra")
UNSEEN_ANIMAL = "Zebra"
PAIRS_OF_ACTIONS = ("Walking", "Standing up", "Lowering the head", "Approaching")
TRAIN_CLIPS, TEST_CLIPS = 48, 80

# For runs that augmentation does not matter to: the step compiles in two thirds of the time.
PLAIN = dict(
    augmentation__jitter_probability=0.0,
    augmentation__grey_probability=0.0,
    augmentation__mix=False,
)


def get_config() -> ConfigDict:
    """The published design with a block a tower, two epochs of three steps; nothing is left
    open."""
    config = default.get_config()
    config.data.multi_scale_crop = False
    config.data.num_workers = 1
    config.model.architecture.update(
        dict(
            embed_dim=64,
            image_size=16,
            patch_size=8,
            vision_width=64,
            vision_layers=1,
            vision_heads=1,
            text_width=64,
            text_layers=1,
            text_heads=1,
            context_length=16,
        )
    )
    config.model.num_frames = 4
    config.model.prompt_layers = 1
    config.model.graph_width = 64
    config.augmentation.jitter_probability = 0.5
    config.augmentation.grey_probability = 0.1
    config.animals.label_dropout = 0.5
    config.optimizer.learning_rate = 1e-3
    config.optimizer.new_multiplier = 5.0
    config.optimizer.minimum_learning_rate = 1e-5
    config.epochs = 2
    config.warmup_epochs = 1
    config.batch_size = 16
    config.accumulation = 1
    config.evaluation.every_epochs = 1
    config.evaluation.batch_size = 16
    config.evaluation.animal_sources = ("none", "labels")
    config.evaluation.temporal_views = 2
    config.evaluation.crops = 1
    config.evaluation.shuffle_frames = True
    config.checkpoint.every_epochs = 1
    return as_published(config)


def config_on(data: pathlib.Path, **fields) -> ConfigDict:
    """The configuration on a converted data set; fields by name, `__` for the dots."""
    config = get_config()
    config.data.directory = str(data)
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in fields.items()}
    )
    return config


def clips(train: int = 1) -> list[Clip]:
    """Clips of all pairs of an animal and an action.

    Args:
        train: how many training has of each that it shows. The test has one of these, and two of
            each of the others.
    """
    made, scenes = [], itertools.cycle(SCENES)
    for animal, pair in itertools.product(ANIMALS, PAIRS):
        if pair.name not in PAIRS_OF_ACTIONS:
            continue
        is_seen = animal != UNSEEN_ANIMAL and (animal, pair.name) not in UNSEEN_PAIRS
        counts = {"train": train, "test": 1} if is_seen else {"test": 2}
        for action, (split, number) in itertools.product((pair.name, pair.reverse), counts.items()):
            made += [Clip(split, animal, action, next(scenes), index) for index in range(number)]
    return made


def render(folder: pathlib.Path, train: int = 1) -> None:
    """The videos of `clips`."""
    write_clips(folder, clips(train), size=(32, 32), num_frames=8)


def convert_videos(videos: pathlib.Path, folder: pathlib.Path) -> None:
    """The rendered videos as a data set of `TRAIN_CLIPS` and `TEST_CLIPS`."""
    annotations = read_annotations("csv", videos)
    convert("tiny", annotations, folder, options=Options(short_side=20), workers=1)


def command(workdir: pathlib.Path, data: pathlib.Path, *arguments: str) -> list[str]:
    """The command line of a run."""
    return [
        sys.executable,
        "main.py",
        "--config=tests/tiny_run.py",
        f"--workdir={workdir}",
        f"--config.data.directory={data}",
        *arguments,
    ]


def on_devices(number: int) -> dict[str, str]:
    """The environment of a process that finds so many virtual devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={number}"
    return {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}


def start(*command_line: str, devices: int = 1, hash_seed: int | None = None) -> subprocess.Popen:
    """Starts a command on so many virtual devices; its outputs are pipes of lines.

    Args:
        hash_seed: says in which order the process's sets of texts are; None for any.
    """
    environment = {
        **({} if hash_seed is None else {"PYTHONHASHSEED": str(hash_seed)}),
        **on_devices(devices),
        "PYTHONUNBUFFERED": "1",
        # As in the tests of runs in this process: compiling takes most of the time.
        "JAX_DISABLE_MOST_OPTIMIZATIONS": os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS", "1"),
    }
    return subprocess.Popen(
        command_line,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(workdir: pathlib.Path, data: pathlib.Path, *arguments: str) -> str:
    """Trains to the end in a process of its own; what it printed."""
    process = start(*command(workdir, data, *arguments))
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output


def run_processes(
    commands: list[list[str]], *, devices: int, interrupted_at: str | None = None
) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of the processes of one job, in their order.

    Args:
        interrupted_at: the beginning of the line of process 0 at which it gets a SIGTERM.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [
        start(
            *command,
            f"--coordinator_address={address}",
            f"--num_processes={len(commands)}",
            f"--process_id={index}",
            devices=devices,
            hash_seed=index,  # so that their sets have other orders
        )
        for index, command in enumerate(commands)
    ]
    if interrupted_at is not None:
        for line in processes[0].stdout:
            if line.startswith(interrupted_at):
                processes[0].send_signal(signal.SIGTERM)
                break
    outputs = [process.communicate() for process in processes]
    return [
        (process.returncode, *output) for process, output in zip(processes, outputs, strict=True)
    ]


def error_line(errors: str) -> str:
    """The one line that a failed command ends with, without the notes of libraries before it."""
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    return line


def checkpoint(workdir: pathlib.Path) -> tuple[int, dict]:
    """The newest step of a run, and all arrays of its checkpoint."""
    run_checkpoints, step = RunCheckpoints.open(workdir)
    run_checkpoints.close()
    folder = run_checkpoints.directory / str(step)
    items = [
        item
        for item in ("parameters", "averaged", "progress", "classes")
        if (folder / item).is_dir()
    ]
    with ocp.StandardCheckpointer() as checkpointer:
        return step, {item: checkpointer.restore(folder / item) for item in items}


def change_configuration(workdir: pathlib.Path, pattern: str, replacement: str) -> None:
    """Substitutes in all that a run recorded of its configuration, as a run that was made so."""
    config = workdir / "config.json"
    config.write_text(re.sub(pattern, replacement, config.read_text()))
    for path in workdir.glob("checkpoints/*/description/metadata"):
        described = json.loads(re.sub(pattern, replacement, path.read_text()))
        del described["digest"]
        path.write_text(json.dumps(sealed(described)))


def saved_steps(workdir: pathlib.Path) -> set[str]:
    """Everything in the folder of checkpoints, unfinished ones included."""
    return set(os.listdir(workdir / "checkpoints"))


def assert_identical(found, expected) -> None:
    """Asserts that two trees are equal bit by bit."""
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def logged(workdir: pathlib.Path, kind: str) -> dict[int, dict[str, float]]:
    """The last line of each step in `metrics.jsonl`, of a kind."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if line["kind"] == kind}
