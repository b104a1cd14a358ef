"""What parts of the method are worth in the synthetic world, and how sure that is.

    make ablations

trains one model a variant and seed, as many at once as there are cores, tests each on every
question under every source of the animals, and writes tables and a figure into docs/results.md.
Interrupted, it goes on where it was; trainings that are done are not repeated.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.errors import UserError
from animal_clip_jax.files import write_whole
from benchmarks.ablations import page
from benchmarks.ablations.one_training import FINISHED, Job, record_of
from benchmarks.ablations.variants import BY_NAME, VARIANTS

_ROOT = pathlib.Path(__file__).parents[2]
# One thread a training: several trainings at once use the cores better, and what one gives does not
# depend on how many there are.
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


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


def checked_variants(names: list[str]) -> list[str]:
    """The variants that are asked for, all if none is named.

    Raises:
        UserError: there is no such variant.
    """
    for name in names:
        if name not in BY_NAME:
            raise UserError(f"--variants: none is called {name!r}; there are {', '.join(BY_NAME)}")
    return names or [variant.name for variant in VARIANTS]


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
        command = [sys.executable, "-m", "benchmarks.ablations.one_training"]
        with log.open("w", encoding="utf-8") as file:
            process = subprocess.run(
                [*command, json.dumps(job._asdict())],
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(
        "",
        usage="--world=DATA --new_action=DATA --new_texts=DIR --weights=CLIP --output=DIR",
        summary="What parts of the method are worth. Interrupted, it goes on.",
        examples=("make ablations",),
    )
    parser.prog = "python -m benchmarks.ablations"
    add, positive = parser.add_argument, numeric(int, least=1)
    add("--world", metavar="DATA", required=True, help="the demo's converted videos")
    add("--new_action", metavar="DATA", required=True, help="those with a new action")
    add("--new_texts", metavar="DIR", required=True, help="the descriptions of these")
    add("--weights", metavar="CLIP", required=True, help="pretrained on pictures of that world")
    add("--output", metavar="DIR", required=True, help="folder of the trainings")
    add("--page", metavar="FILE", help="page to write the tables into; not given, none is")
    add("--epochs", metavar="N", type=positive, default=10, help="of each training (10)")
    add("--seeds", metavar="N,N", default="0,1,2", help="of the trainings (0,1,2)")
    add("--variants", metavar="NAMES", default="", help="see variants.py; not given, all")
    cores = os.cpu_count() or 1
    add("--processes", metavar="N", type=positive, default=cores, help="trainings at once")
    return command_line.run(
        lambda: _ablate(parser.parse(arguments)),
        if_interrupted="run the same command again to go on",
    )


def _ablate(options: argparse.Namespace) -> None:
    """Runs all trainings, and writes what came of them."""
    seeds = checked_seeds(_listed(options.seeds))
    names = checked_variants(_listed(options.variants))
    folder = pathlib.Path(options.output).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    places = [
        os.path.abspath(place)
        for place in (options.world, options.new_action, options.new_texts, options.weights)
    ]
    jobs = [
        Job(name, seed, *places, options.epochs, str(folder)) for seed in seeds for name in names
    ]
    train_all(jobs, options.processes)
    outcomes = page.Outcomes.of_jobs({(job.variant, job.seed): finished(job) for job in jobs})
    text = page.written(outcomes)
    write_whole(folder / "tables.md", text)
    print(text)
    if options.page:
        page.draw(outcomes, pathlib.Path(options.page).parent / page.FIGURE)
        page.put_into(pathlib.Path(options.page), text)


def _listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


if __name__ == "__main__":
    sys.exit(main())
