"""How long a training takes to its first step, with nothing kept of an earlier one, and then again.

    python -m benchmarks.start [--config=FILE] [--repeats=3] [--config.FIELD=VALUE ...]

Runs `python main.py` on a few rendered clips, from random values and with the names of the labels
as texts, and waits for the first line of `metrics.jsonl`, which is written once the first step is
done, and says how long that took. The first start compiles everything, into a folder of its own;
later ones read it. The processor time is of the process up to then, on all cores. On Linux.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

from animal_clip_jax.tables import format_table
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.conversion.dataset_writer import Options, convert
from data_pipeline.synthetic.plan import Clip
from data_pipeline.synthetic.scenes import SCENES
from data_pipeline.synthetic.videos import write_clips

ANIMALS, ACTIONS, CLIPS = ("Bear", "Fox"), ("Walking", "Standing up"), 2
# The batch is small, so that the first step is short beside what comes before it.
FIELDS: dict[str, Any] = {
    "init_from": "",
    "data.num_actions": 0,
    "data.num_animals": 0,
    "prompts.actions": "names",
    "prompts.animals": "names",
    "batch_size": 2,
    "accumulation": 1,
    "log_every_steps": 1,
}
LONGEST_S = 1800


def write_data(folder: pathlib.Path) -> pathlib.Path:
    """A data set of two animals and two actions, twice each."""
    clips = [
        Clip(split, animal, action, SCENES[index], index)
        for split in ("train", "test")
        for animal in ANIMALS
        for action in ACTIONS
        for index in range(CLIPS)
    ]
    write_clips(folder / "videos", clips, num_frames=8)
    annotations = read_annotations("csv", folder / "videos")
    convert("start", annotations, folder / "data", options=Options(short_side=36), workers=1)
    return folder / "data"


def time_to_first_step(command: list[str], workdir: pathlib.Path) -> tuple[float, float, float]:
    """Starts a training, and ends it after its first step.

    Returns:
        seconds by the clock, of them those of the step, and seconds of the processor.

    Raises:
        RuntimeError: it ended before, or took half an hour.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, f"--workdir={workdir}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        while not (speeds := _speeds(workdir / "metrics.jsonl")):
            if process.poll() is not None or time.perf_counter() - start > LONGEST_S:
                process.kill()
                said = process.communicate()[0].decode(errors="replace")
                raise RuntimeError(f"there was no first step: {said[-1000:]}")
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])  # proc(5): utime and stime
        of_step = FIELDS["batch_size"] / speeds[0]
        return seconds, of_step, ticks / os.sysconf("SC_CLK_TCK")
    finally:
        process.kill()
        process.communicate()


def _speeds(metrics: pathlib.Path) -> list[float]:
    """Clips a second of the steps that are done."""
    # What follows the last end of a line may be half of one.
    lines = metrics.read_text().split("\n")[:-1] if metrics.exists() else []
    figures = map(json.loads, lines)
    return [line["clips_per_second"] for line in figures if line["kind"] == "train"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="configs/animal_kingdom.py")
    parser.add_argument("--repeats", type=int, default=3, help="starts after the first")
    options, changes = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "caches")
        fields = {**FIELDS, "data.directory": write_data(folder)}
        command = [sys.executable, "main.py", f"--config={options.config}"]
        command += [f"--config.{field}={value}" for field, value in fields.items()]
        rows: list[dict[str, object]] = []
        for number in range(1 + options.repeats):
            seconds, of_step, processor = time_to_first_step(
                command + changes, folder / str(number)
            )
            rows.append(
                {
                    "kept": "programs" if number else "nothing",
                    "to_first_step_s": seconds - of_step,
                    "first_step_s": of_step,
                    "to_its_end_s": seconds,
                    "processor_s": processor,
                }
            )
    print(format_table(rows))


if __name__ == "__main__":
    main()
