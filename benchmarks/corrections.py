"""What correcting predictions is worth: predict, correct in BORIS, train on, predict again.

    python -m benchmarks.corrections --run=runs/demo/run --output=runs/demo/corrections

New recordings come from a camera that the demo's run has never seen: at dusk, noisy, the picture
mirrored and tilted, several bouts in a row. The run predicts them as a project of BORIS. A script
corrects the first recordings in the project, as a person would by hand: every bout gets its true
times, action and animal. The corrected project is converted in pieces as long as the windows, the
run is trained on with it, and predicts all recordings again. Those that nobody corrected show what
was learned of the camera.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from animal_clip_jax.inference.results import RESULTS_FILE, Results
from animal_clip_jax.tables import format_table
from data_pipeline.synthetic.animals import ANIMALS
from data_pipeline.synthetic.clips import render_clip
from data_pipeline.synthetic.description_files import TRAINED_ACTIONS
from data_pipeline.synthetic.motions import actions_of
from data_pipeline.synthetic.scenes import SCENES
from data_pipeline.synthetic.videos import FRAMES_PER_SECOND, write_video

NUM_FRAMES = 16
CLIPS_A_BOUT, BOUTS_A_RECORDING = 3, 6
SECONDS = NUM_FRAMES / FRAMES_PER_SECOND
PROJECT = "predictions.boris"
# Start, stop, action and animal.
Truth = list[tuple[float, float, str, str]]


def dusk(frames: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """How the camera sees: mirrored, tilted by some degrees, dark and bluish, with noise."""
    tilted = [
        np.asarray(Image.fromarray(frame[:, ::-1]).rotate(12, Image.Resampling.BILINEAR))
        for frame in frames
    ]
    dark = 255 * (np.stack(tilted) / 255) ** 1.6 * np.array([0.55, 0.6, 0.75])
    return np.clip(dark + random.normal(0, 6, frames.shape), 0, 255).astype(np.uint8)


def write_recordings(folder: Path, number: int, seed: int) -> dict[str, Truth]:
    """Renders recordings; what is in each, by its name."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    truth = {}
    for recording in range(number):
        animal = ANIMALS[recording % len(ANIMALS)]
        able = [action for action in actions_of(animal) if action in TRAINED_ACTIONS]
        actions = random.permutation(able)[:BOUTS_A_RECORDING]
        seconds = CLIPS_A_BOUT * SECONDS
        name = f"dusk_{recording:02}.mp4"
        truth[name] = [
            (k * seconds, (k + 1) * seconds, str(action), animal.name)
            for k, action in enumerate(actions)
        ]
        clips = [
            render_clip(
                animal,
                str(action),
                str(random.choice(SCENES)),
                int(random.integers(2**31)),
                num_frames=NUM_FRAMES,
            )
            for action in actions
            for _ in range(CLIPS_A_BOUT)
        ]
        write_video(folder / name, dusk(np.concatenate(clips), random))
    return truth


def corrected(project: dict, truth: dict[str, Truth], names: list[str]) -> dict:
    """The project as a person saves it who has looked at some of its recordings."""
    observations = {}
    for name in names:
        observation = project["observations"][name]
        events = [
            [time, animal, action, "", ""]
            for start, stop, action, animal in truth[name]
            for time in (round(start, 3), round(stop, 3))
        ]
        observations[name] = observation | {"events": events}
    return project | {"observations": observations}


def wrong_shares(results: Path, truth: dict[str, Truth], names: list[str]) -> tuple[float, float]:
    """The share of time in which the bouts say another action than is shown, or none; and the share
    of true bouts in which another action has most of the time."""
    bouts = {result.name: result.bouts for result in Results.open(results / RESULTS_FILE)}
    shares = []
    for name in names:
        for start, stop, action, _ in truth[name]:
            seconds: dict[str, float] = defaultdict(float)
            for bout in bouts[name]:
                seconds[bout.action] += max(0.0, min(stop, bout.stop) - max(start, bout.start))
            most = max(seconds, key=lambda found: seconds[found])
            shares.append((1 - seconds[action] / (stop - start), float(most != action)))
    of_time, of_bouts = np.mean(shares, axis=0)  # all true bouts are of one length
    return float(of_time), float(of_bouts)


def command(*arguments: str | Path) -> str:
    """Runs a command of this program; what it printed."""
    program = [sys.executable, "-m", "animal_clip_jax", *map(str, arguments)]
    return subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout


def predict(run: str | Path, footage: Path, output: Path) -> None:
    """As a person would: windows as long as the clips of the training."""
    windows = f"--window={SECONDS:.4f}", f"--stride={SECONDS / 4:.4f}"
    command("predict", run, footage, f"--output={output}", *windows, "--format=boris")


def main() -> None:
    """Goes round once, and prints what is wrong before and after."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="of the demo")
    parser.add_argument("--output", required=True, type=Path, help="a new folder")
    parser.add_argument("--recordings", type=int, default=24)
    parser.add_argument("--corrected", type=int, default=16, help="of them")
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    output, footage = options.output, options.output / "footage"
    truth = write_recordings(footage, options.recordings, seed=1)
    names = sorted(truth)
    looked_at, others = names[: options.corrected], names[options.corrected :]

    predict(options.run, footage, output / "before")
    project = json.loads((output / "before" / PROJECT).read_text())
    path = output / "corrected.boris"
    path.write_text(json.dumps(corrected(project, truth, looked_at)))
    print(
        command(
            *("convert-videos", "--dataset=boris", f"--source={path}", f"--root={footage}"),
            *(f"--output={output / 'data'}", "--short_side=36", "--test_share=0.1"),
            f"--cut_bouts={SECONDS:.4f}",
        )
    )
    command(
        *("train", "--config=configs/demo.py", f"--workdir={output / 'run'}"),
        *(f"--config.init_from={options.run}", f"--config.data.directory={output / 'data'}"),
        *(f"--config.epochs={options.epochs}", "--config.batch_size=16"),
        *("--config.optimizer.learning_rate=3e-4", "--config.evaluation.shuffle_frames=False"),
    )
    predict(output / "run", footage, output / "after")

    rows = []
    for what, chosen in (("corrected recordings", looked_at), ("other recordings", others)):
        for when in ("before", "after"):
            of_time, of_bouts = wrong_shares(output / when, truth, chosen)
            rows.append(
                {"": f"{what}, {when}", "of_time": of_time, "of_bouts": of_bouts, "n": len(chosen)}
            )
    print(format_table(rows, title="share with a wrong action"))


if __name__ == "__main__":
    main()
