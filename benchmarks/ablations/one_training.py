"""Trains one variant with one seed, asks it every question, and writes which clips were right.

A process of its own for each, started by `benchmarks.ablations`:

    python -m benchmarks.ablations.one_training '{"variant": "published", "seed": 0, ...}'
"""

import functools
import json
import pathlib
import sys
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from animal_clip_jax.conversion.weights import load_weights
from animal_clip_jax.files import write_whole
from animal_clip_jax.run.compiled_programs import keep_compiled_programs
from animal_clip_jax.run.train import train
from benchmarks.ablations.variants import BY_NAME, PUBLISHED
from benchmarks.questions import all_splits, for_new_action, right_of
from configs import demo
from data_pipeline.dataset import dataset_digest

SOURCES = ("labels", "predicted", "learned", "none")
FINISHED = "finished.json"
KINDS = ("names", "templates")  # of texts that need no file


class Job(NamedTuple):
    """One training.

    Attributes:
        variant: its name.
        seed: of everything random in it.
        data: the world's converted videos.
        new_action, new_texts: those with an action that training does not have, and the folder of
            their descriptions.
        weights: the image-text model that it starts from.
        epochs: of it.
        folder: of all trainings.
    """

    variant: str
    seed: int
    data: str
    new_action: str
    new_texts: str
    weights: str
    epochs: int
    folder: str

    @property
    def workdir(self) -> pathlib.Path:
        """Of this training."""
        return pathlib.Path(self.folder) / f"{self.variant}-seed{self.seed}"


def record_of(job: Job) -> dict[str, Any]:
    """What a training is made of, wherever it lies: other content is another training."""
    return {
        "seed": job.seed,
        "epochs": job.epochs,
        "fields": {**PUBLISHED, **BY_NAME[job.variant].fields},
        "data": [dataset_digest(folder) for folder in (job.data, job.new_action)],
        "weights": _digest_of_weights(job.weights),
    }


@functools.lru_cache
def _digest_of_weights(path: str) -> str:
    return load_weights(path).digest()


def config_of(job: Job) -> ConfigDict:
    """The configuration of a training: the demo's, with the published settings, but for what the
    variant changes."""
    config = demo.get_config()
    fields: dict[str, Any] = {
        **PUBLISHED,
        "seed": job.seed,
        "epochs": job.epochs,
        "init_from": job.weights,
        "animals.weights": job.weights,
        "data.directory": job.data,
        "data.test_split": all_splits(),
        "evaluation.animal_sources": SOURCES,
        "evaluation.every_epochs": job.epochs,
        "evaluation.shuffle_frames": False,
        "checkpoint.every_epochs": job.epochs,
        **BY_NAME[job.variant].fields,
    }
    config.update_from_flattened_dict(fields)
    return config


def run(job: Job) -> None:
    """Trains and tests; what was done before is not done again."""
    config = config_of(job)
    train(config, job.workdir)
    kind = config.prompts.actions if config.prompts.actions in KINDS else "descriptions"
    new = for_new_action(config, job.new_action, job.new_texts, kind=kind)
    right = right_of(job.workdir, config, new)
    write_whole(job.workdir / FINISHED, json.dumps({"of": record_of(job), "right": right}))


if __name__ == "__main__":
    keep_compiled_programs()
    run(Job(**json.loads(sys.argv[1])))
