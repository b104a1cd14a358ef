"""`animal-clip predict --engine=ray`: videos looked at by the machines of a Ray cluster.

There is a worker for each device, which opens the run once. It gets videos in groups, and writes
the results of a group as a file that is whole or not there; so a group that is looked at twice, as
its worker died, has its results once.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ray
from etils import epath
from ml_collections import ConfigDict

from animal_clip_jax.counting_bar import counting_bar
from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.inputs import Input
from animal_clip_jax.inference.loading import load_as_configured
from animal_clip_jax.inference.predict_files import write_group
from animal_clip_jax.inference.results import RESULTS_FILE
from animal_clip_jax.inference.stream import Request
from animal_clip_jax.ray_cluster import Resources, Seen, begin_worker, check_machines, one_a_device
from animal_clip_jax.ray_tasks import TASKS_AT_ONCE, deal

# Videos of a group: what a death costs at most. Long videos, which are looked at in windows, come
# few at a time.
_MOST_WHOLE, _MOST_IN_WINDOWS = 128, 16
# So that no worker waits long for the last one.
_GROUPS_A_WORKER = 4
# Videos that are looked for on every machine, before anything begins.
_MOST_SEEN = 20


class Job(NamedTuple):
    """What a worker has to know.

    Attributes:
        run: the folder of the run.
        config: its configuration.
        request: what is wanted of each video.
        folder: of the results.
        save_embeddings: whether the features are written.
        directory: in which the command was started: paths count from it.
        device: that a worker has: "GPU", "TPU" or "CPU".
    """

    run: str
    config: ConfigDict
    request: Request
    folder: str
    save_embeddings: bool
    directory: str
    device: str = "CPU"


def stay_on_cpu() -> None:
    """Leaves the devices of this machine to the workers; before JAX computes anything."""
    jax.config.update("jax_platforms", "cpu")


def predict_on_ray(job: Job, videos: Sequence[Input]) -> None:
    """Has videos looked at by the cluster that was `joined`; their results are then in the parts of
    a folder of results.

    Args:
        job: how; the folder of results is begun.
        videos: which.

    Raises:
        UserError: a machine of the cluster lacks the program or a file, or a worker
            found a mistake.
    """
    inputs = [video._replace(path=video.path.absolute()) for video in videos]
    resources = one_a_device()
    check_machines(resources, _seen(job, inputs))
    kept = ray.put(job._replace(device=resources.name))
    worker = ray.remote(**resources.options, max_concurrency=TASKS_AT_ONCE)(_Worker)
    number = min(resources.number, len(inputs))
    with counting_bar("predicting", "videos") as bar:
        # What it is about may have brackets in its name.
        say = partial(bar.console.print, markup=False, highlight=False)
        say(f"Ray: {number} worker{'s' * (number > 1)}, {_in_words(resources)}")
        task = bar.add_task("", total=len(inputs))
        deal(
            groups(inputs, resources.number, windows=job.request.window is not None),
            lambda: worker.remote(kept),
            resources,
            done=lambda group, _: bar.advance(task, len(group)),
            say=say,
            split=lambda group: [[video] for video in group],
            in_words=lambda group: f"{group[0].name} and {len(group) - 1} more videos",
        )


def groups(videos: Sequence[Input], workers: int, *, windows: bool) -> list[list[Input]]:
    """Videos in groups, in order; small enough that all workers have several."""
    most = _MOST_IN_WINDOWS if windows else _MOST_WHOLE
    size = max(1, min(most, len(videos) // (workers * _GROUPS_A_WORKER)))
    return [list(videos[start : start + size]) for start in range(0, len(videos), size)]


def _seen(job: Job, videos: Sequence[Input]) -> list[Seen]:
    readable = [video for video in videos if not video.problem]
    step = -(-len(readable) // _MOST_SEEN) or 1
    return [
        Seen.at("the folder in which this was started", job.directory),
        Seen.at("the run", job.run),
        # With its size: a folder of the same name is not the same folder.
        Seen.at("the output", Path(job.folder) / RESULTS_FILE),
        *(Seen.at("a video", video.path) for video in readable[::step]),
    ]


def _in_words(resources: Resources) -> str:
    return {"GPU": "one for each GPU", "TPU": "one for each machine with TPUs"}.get(
        resources.name, "one for each machine"
    )


class _Worker:
    """On a machine of the cluster: a model that is opened once."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._model: Any = None

    def ready(self) -> None:
        begin_worker(self._job.directory)
        self._model = load_as_configured(
            self._job.run,
            self._job.config,
            finds_blank=self._job.request.blank_below is not None,
        )
        platform = jax.devices()[0].platform
        if self._job.device != "CPU" and platform == "cpu":
            raise UserError(
                f"Ray gave a worker on {os.uname().nodename} a {self._job.device}, but JAX finds "
                f"none there: install the extra for it, see docs/scaling.md"
            )

    def work(self, videos: list[Input]) -> None:
        write_group(
            self._model,
            videos,
            epath.Path(self._job.folder),
            self._job.request,
            save_embeddings=self._job.save_embeddings,
        )
