"""Trains one model with one seed in the synthetic world, asks it every question, and writes which
clips it was right about.

A process of its own for each, started by `benchmarks.trainings.many`:

    python -m benchmarks.trainings.one '{"name": "published", "config": "demo", "seed": 0, ...}'
"""

import functools
import importlib
import json
import pathlib
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from animal_clip_jax.conversion.weights import load_weights
from animal_clip_jax.files import write_whole
from animal_clip_jax.models.description import CLASSIFIERS
from animal_clip_jax.run.compiled_programs import keep_compiled_programs
from animal_clip_jax.run.train import train
from benchmarks.questions import all_splits, for_new_action, right_of
from data_pipeline.dataset import dataset_digest

FINISHED = "finished.json"
NEED_NO_FILE = ("names", "templates")  # of texts


class Places(NamedTuple):
    """What all trainings have in common, as absolute paths.

    Attributes:
        data: the world's converted videos.
        new_action, new_texts: those with an action that training does not have, and the folder of
            their descriptions.
        weights: the image-text model that they start from.
        folder: of all trainings.
    """

    data: str
    new_action: str
    new_texts: str
    weights: str
    folder: str


class Job(NamedTuple):
    """One training.

    Attributes:
        name: of its folder, with the seed.
        config: of which file in configs/ its configuration is.
        fields: what is changed of it, by dotted name.
        from_clip: it starts from the places' weights, and not from nothing.
        seed: of everything random in it.
        epochs: of it.
        places: what it has in common with others.
    """

    name: str
    config: str
    fields: Mapping[str, Any]
    from_clip: bool
    seed: int
    epochs: int
    places: Places

    @property
    def workdir(self) -> pathlib.Path:
        """Of this training."""
        return pathlib.Path(self.places.folder) / f"{self.name}-seed{self.seed}"

    def written(self) -> str:
        """As JSON, for another process."""
        return json.dumps({**self._asdict(), "places": self.places._asdict()})

    @classmethod
    def read(cls, text: str) -> "Job":
        """What `written` wrote."""
        found = json.loads(text)
        return cls(**{**found, "places": Places(**found["places"])})


def record_of(job: Job) -> dict[str, Any]:
    """What a training is made of, wherever it lies: other content is another training."""
    return {
        "config": job.config,
        "fields": json.loads(json.dumps(dict(job.fields))),
        "from_clip": job.from_clip,
        "seed": job.seed,
        "epochs": job.epochs,
        "data": [dataset_digest(folder) for folder in (job.places.data, job.places.new_action)],
        "weights": _digest_of_weights(job.places.weights),
    }


@functools.lru_cache
def _digest_of_weights(path: str) -> str:
    return load_weights(path).digest()


def config_of(job: Job) -> ConfigDict:
    """The configuration of a training."""
    config = importlib.import_module(f"configs.{job.config}").get_config()
    config.update_from_flattened_dict(
        {
            "seed": job.seed,
            "epochs": job.epochs,
            "init_from": job.places.weights if job.from_clip else "",
            "animals.weights": job.places.weights,
            "data.directory": job.places.data,
            "data.test_split": all_splits(),
            "evaluation.every_epochs": job.epochs,
            "checkpoint.every_epochs": job.epochs,
        }
    )
    config.update_from_flattened_dict({name: _tuples(value) for name, value in job.fields.items()})
    return config


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def run(job: Job) -> None:
    """Trains and tests; what was done before is not done again."""
    config = config_of(job)
    train(config, job.workdir)
    new = None
    if config.model.family not in CLASSIFIERS:
        kind = config.prompts.actions if config.prompts.actions in NEED_NO_FILE else "descriptions"
        new = for_new_action(config, job.places.new_action, job.places.new_texts, kind=kind)
    right = right_of(job.workdir, config, new)
    write_whole(job.workdir / FINISHED, json.dumps({"of": record_of(job), "right": right}))


if __name__ == "__main__":
    keep_compiled_programs()
    run(Job.read(sys.argv[1]))
