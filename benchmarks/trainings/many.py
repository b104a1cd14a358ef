"""Many trainings in the synthetic world, some at once; those that are done are not done again."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from animal_clip_jax.errors import UserError
from benchmarks.trainings.one import FINISHED, Job, Places, record_of

_ROOT = pathlib.Path(__file__).parents[2]
# One thread a training: several trainings at once use the cores better, and what one gives does not
# depend on how many there are.
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


class Kind(NamedTuple):
    """What is trained, with every seed.

    Attributes:
        name: of its folder.
        title: of its row.
        config: of which file in configs/ its configuration is.
        fields: what is changed of it, by dotted name.
        from_clip: it starts from the small CLIP of the world.
    """

    name: str
    title: str
    config: str
    fields: Mapping[str, Any]
    from_clip: bool = True


def train_kinds(
    options: argparse.Namespace, kinds: Sequence[Kind]
) -> dict[tuple[str, int], dict[str, dict[str, dict[str, int]]]]:
    """Trains what the options of `command.run` ask for, of `kinds`.

    Returns:
        whether each clip was right, by name and seed, then by question, source and clip.

    Raises:
        UserError: an option is wrong, a training failed, or the folder holds others.
    """
    seeds = checked_seeds(_listed(options.seeds))
    chosen = checked_kinds(_listed(options.only), kinds)
    folder = pathlib.Path(options.output).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    given = (options.world, options.new_action, options.new_texts, options.weights, folder)
    places = Places(*map(os.path.abspath, given))
    jobs = [
        Job(kind.name, kind.config, kind.fields, kind.from_clip, seed, options.epochs, places)
        for seed in seeds
        for kind in chosen
    ]
    train_all(jobs, options.processes)
    found = {(job.name, job.seed): finished(job) for job in jobs}
    return {key: right for key, right in found.items() if right is not None}


def checked_seeds(texts: list[str]) -> list[int]:
    """The seeds that are asked for.

    Raises:
        UserError: there is none, one is no whole number from 0, or one is there twice.
    """
    if not texts or not all(text.isascii() and text.isdecimal() for text in texts):
        raise UserError(f"--seeds={','.join(texts)}: expected whole numbers from 0, such as 0,1,2")
    seeds = [int(text) for text in texts]
    twice = [seed for k, seed in enumerate(seeds) if seed in seeds[:k]]
    if twice:
        raise UserError(
            f"--seeds={','.join(texts)}: {twice[0]} is there twice; a repeated seed gives the same "
            "training again, and no further evidence"
        )
    return seeds


def checked_kinds(names: Sequence[str], kinds: Sequence[Kind]) -> list[Kind]:
    """Those that are asked for, all if none is named.

    Raises:
        UserError: there is none of a name.
    """
    known = [kind.name for kind in kinds]
    for name in names:
        if name not in known:
            raise UserError(f"--only: none is called {name!r}; there are {', '.join(known)}")
    return [kind for kind in kinds if kind.name in (names or known)]


def finished(job: Job) -> dict[str, dict[str, dict[str, int]]] | None:
    """Whether each clip was right, by question and source, if a training is done; else None.

    Raises:
        UserError: it was done otherwise than the job says.
    """
    path = job.workdir / FINISHED
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    wanted = record_of(job)
    if different := [name for name in wanted if content["of"].get(name) != wanted[name]]:
        raise UserError(
            f"{job.workdir} holds another training: {different[0]} was "
            f"{content['of'].get(different[0])}, and is {wanted[different[0]]}; take another "
            "--output, or remove this folder"
        )
    return content["right"]


def train_all(jobs: list[Job], processes: int) -> None:
    """Runs all trainings that are not done, some at once; says when one is.

    Raises:
        UserError: one failed; names its log.
    """
    waiting = [job for job in jobs if finished(job) is None]
    start = time.monotonic()
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {_ONE_THREAD}".strip(),
        "OMP_NUM_THREADS": "1",
    }

    def run(job: Job) -> Job:
        log = job.workdir.with_suffix(".log")
        command = [sys.executable, "-m", "benchmarks.trainings.one"]
        with log.open("w", encoding="utf-8") as file:
            process = subprocess.run(
                [*command, job.written()],
                cwd=_ROOT,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        if process.returncode:
            raise UserError(
                f"the training {job.workdir.name} ended with {process.returncode}; see {log}. The "
                "same command again goes on"
            )
        return job

    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        running = [pool.submit(run, job) for job in waiting]
        try:
            for number, done in enumerate(concurrent.futures.as_completed(running), 1):
                minutes = (time.monotonic() - start) / 60
                print(
                    f"{number}/{len(waiting)} trained and tested, {minutes:.1f} minutes: "
                    f"{done.result().workdir.name}",
                    flush=True,
                )
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part]
