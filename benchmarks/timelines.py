"""How well the bouts of long videos agree with the truth, and how honest the probabilities are.

    python -m benchmarks.timelines --run=runs/demo/run --videos=runs/demo/videos

For the run of `make demo`, which is copied and stays as it is, on videos whose cuts are known: in
each, one animal does 8 actions, one after the other, none of which was trained on. There are three
kinds:

- motions: each action is one motion of 2 to 5 s;
- clips: each is 2 to 5 rendered clips of 1.3 s, every clip in another place, and the first cut
  short at random;
- whole clips: the same, with no clip cut, so that windows of that length fit the clips exactly.

The bouts of `animal-clip predict --window` are compared with what needs no model of time: every
window by itself (of windows that follow each other) and the mean of overlapping windows at each
step, of which the likeliest action is taken, and the most frequent action of the training. The
expected length of a bout is chosen on other such videos.

Before that, clips: the run is calibrated on rendered clips of one seed, and judged on those of
another and on the test clips of the demo, before and after.
"""

import dataclasses
import itertools
import pathlib
import shutil
import tempfile
from collections.abc import Sequence

import numpy as np
from absl import app, flags, logging

import animal_clip_jax
from animal_clip_jax.evaluation import calibration as figures
from animal_clip_jax.evaluation.segments import (
    Segment,
    edit_score,
    mean_average_precision,
    mean_boundary_error,
    segment_f1,
)
from animal_clip_jax.inference.predictor import Predictor
from animal_clip_jax.inference.results import VideoResult
from animal_clip_jax.inference.smoothing import Smoothing, bouts_of, steps_of
from animal_clip_jax.run.calibrate import calibrate
from animal_clip_jax.run.trained_run import TrainedRun
from animal_clip_jax.tables import format_table
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.conversion.dataset_writer import Options, convert
from data_pipeline.synthetic.animals import ANIMALS, Animal
from data_pipeline.synthetic.clips import render_clip
from data_pipeline.synthetic.description_files import TRAINED_ACTIONS
from data_pipeline.synthetic.motions import actions_of
from data_pipeline.synthetic.plan import plan
from data_pipeline.synthetic.scenes import SCENES
from data_pipeline.synthetic.videos import FRAMES_PER_SECOND, write_clips, write_video

_RUN = flags.DEFINE_string("run", "runs/demo/run", "folder of the demo's run")
_VIDEOS = flags.DEFINE_string("videos", "runs/demo/videos", "folder of the demo's videos")
_NUM_VIDEOS = flags.DEFINE_integer("num_videos", 12, "videos with known cuts")

CLIP_FRAMES = 16
WINDOW = CLIP_FRAMES / FRAMES_PER_SECOND
STRIDE = WINDOW / 4
ACTIONS_OF_A_VIDEO = 8
MOTION_FRAMES = (24, 60)
CLIPS_OF_AN_ACTION = (2, 5)

# Of each unseen pair of an animal and an action; of the others in proportion.
FITTED_CLIPS, JUDGED_CLIPS = 8, 16
KINDS = ("motions", "clips", "whole clips")
TEST_SEED, CHOICE_SEED = 1000, 2000
EXPECTED_WINDOWS = (1, 2, 4, 8, 16)

Timelines = list[list[Segment]]


def write_timeline(path: pathlib.Path, seed: int, animal: Animal, kind: str) -> list[Segment]:
    """Renders a video of one animal that does one thing after the other; what it shows."""
    random = np.random.default_rng(seed)
    frames: list[np.ndarray] = []
    segments: list[Segment] = []
    before, start = "", 0.0
    able = [action for action in actions_of(animal) if action in TRAINED_ACTIONS]
    for _ in range(ACTIONS_OF_A_VIDEO):
        action = str(random.choice([name for name in able if name != before]))
        if kind == "motions":
            lengths = [int(random.integers(*MOTION_FRAMES, endpoint=True))]
        else:
            lengths = [CLIP_FRAMES] * int(random.integers(*CLIPS_OF_AN_ACTION, endpoint=True))
        clips = [
            render_clip(
                animal,
                action,
                str(random.choice(SCENES)),
                int(random.integers(2**31)),
                num_frames=length,
            )
            for length in lengths
        ]
        if kind == "clips":
            clips[0] = clips[0][int(random.integers(CLIP_FRAMES // 2)) :]
        frames += clips
        stop = start + sum(map(len, clips)) / FRAMES_PER_SECOND
        segments.append(Segment(start, stop, action))
        before, start = action, stop
    write_video(path, np.concatenate(frames))
    return segments


def bouts(results: Sequence[VideoResult]) -> Timelines:
    """What prediction makes of the windows."""
    return [
        [Segment(bout.start, bout.stop, bout.action, bout.score) for bout in result.bouts]
        for result in results
    ]


def likeliest(results: Sequence[VideoResult], actions: Sequence[str], step: float) -> Timelines:
    """The likeliest action of each step, by the mean of the windows over it."""
    found = []
    for result in results:
        assert result.windows is not None
        edges, shares = steps_of(result.windows, result.windows.actions, step)
        found.append(_joined(edges, shares, actions))
    return found


def fixed_windows(results: Sequence[VideoResult], actions: Sequence[str], every: int) -> Timelines:
    """The likeliest action of each window; of windows that follow each other."""
    found = []
    for result in results:
        windows = result.windows
        assert windows is not None
        edges = np.append(windows.starts[::every], windows.stops[-1])
        found.append(_joined(edges, windows.actions[::every], actions))
    return found


def _joined(edges: np.ndarray, shares: np.ndarray, actions: Sequence[str]) -> list[Segment]:
    """Segments of the likeliest action, where it stays the same."""
    best = shares.argmax(axis=1)
    borders = [0, *(np.flatnonzero(np.diff(best)) + 1), len(best)]
    return [
        Segment(
            float(edges[first]),
            float(edges[last]),
            actions[best[first]],
            float(shares[first:last, best[first]].mean()),
        )
        for first, last in itertools.pairwise(borders)
    ]


def row(name: str, truth: Timelines, found: Timelines) -> dict[str, object]:
    """A line of the table."""
    return {
        "timeline": name,
        "bouts": sum(map(len, found)),
        "boundary_error_s": mean_boundary_error(truth, found),
        "f1_at_0.5": segment_f1(truth, found),
        "map_at_0.5": mean_average_precision(truth, found),
        "edit_score": edit_score(truth, found),
    }


@dataclasses.dataclass(frozen=True)
class Videos:
    """Videos with known cuts, and what a model makes of their windows."""

    truth: Timelines
    results: list[VideoResult]

    @classmethod
    def of(cls, model: Predictor, folder: pathlib.Path, kind: str, first_seed: int) -> "Videos":
        """Renders and predicts them."""
        truth, results = [], []
        for number in range(_NUM_VIDEOS.value):
            path = folder / f"{kind} {first_seed + number}.mp4"
            animal = ANIMALS[number % len(ANIMALS)]
            truth.append(write_timeline(path, first_seed + number, animal, kind))
            results.append(model.timeline(path, window=WINDOW, stride=STRIDE))
        return cls(truth, results)

    def smoothed(self, model: Predictor, expected_windows: float) -> Timelines:
        """The bouts for another expected length."""
        smoothing = Smoothing(STRIDE, expected_windows * WINDOW)
        found = []
        for result in self.results:
            assert result.windows is not None
            of_video = bouts_of(
                result.windows, model.actions, model.animals, smoothing, multi_label=False
            )
            found.append(dataclasses.replace(result, bouts=of_video))
        return bouts(found)


def timeline_table(
    kind: str, plain: Predictor, calibrated: Predictor, majority: str, folder: pathlib.Path
) -> str:
    """Renders the videos of a kind, predicts them, and compares."""
    videos = Videos.of(plain, folder, kind, TEST_SEED)
    truth, actions = videos.truth, plain.actions
    others = [calibrated.timeline(path, window=WINDOW, stride=STRIDE)
              for path in sorted(folder.glob(f"{kind} {TEST_SEED // 100}??.mp4"))]  # fmt: skip
    rows = [
        row("majority", truth, [[Segment(0, ones[-1].stop, majority)] for ones in truth]),
        row("fixed windows", truth, fixed_windows(videos.results, actions, round(WINDOW / STRIDE))),
        row("steps", truth, likeliest(videos.results, actions, STRIDE)),
        row("bouts", truth, bouts(videos.results)),
        row("bouts, calibrated", truth, bouts(others)),
    ]
    number = sum(map(len, truth))
    seconds = sum(ones[-1].stop for ones in truth)
    title = f"{kind}: {len(truth)} videos, {seconds:.0f} s, {number} bouts"
    return format_table(rows, title=title)


def choice_of_a_length(model: Predictor, folder: pathlib.Path) -> str:
    """The F1 of bouts on other videos, by how long they are expected to be."""
    rows = []
    for kind in KINDS:
        videos = Videos.of(model, folder, kind, CHOICE_SEED)
        found = {
            f"{expected}_windows": segment_f1(videos.truth, videos.smoothed(model, expected))
            for expected in EXPECTED_WINDOWS
        }
        rows.append({"other videos": kind, **found})
    return format_table(rows, title="F1 at 0.5 by the expected length of a bout")


def calibration_table(models: dict[str, Predictor], folder: pathlib.Path, title: str) -> str:
    """How honest the probabilities of the test clips in a folder of rendered videos are."""
    annotations = read_annotations("csv", folder)
    clips = [clip for clip in annotations.clips if clip.split == "test"]
    rows = []
    for name, model in models.items():
        answers = model.predict([annotations.roots[0] / clip.path for clip in clips])
        shares = np.array(
            [[dict(answer.actions)[action] for action in model.actions] for answer in answers]
        )
        shown = np.array([[action in clip.actions for action in model.actions] for clip in clips])
        curve = figures.reliability(*figures.answers(shares, shown, "softmax"))
        rows.append(
            {
                "probabilities": name,
                "ECE": figures.expected_calibration_error(curve),
                "NLL": float(-np.log(shares[shown]).mean()),
                "confidence": float(shares.max(axis=1).mean()),
                "accuracy": float(shown[np.arange(len(shown)), shares.argmax(axis=1)].mean()),
            }
        )
    return format_table(rows, title=f"{len(clips)} {title}")


def write_test_clips(folder: pathlib.Path, test_clips: int, seed: int) -> None:
    """Renders clips of every test of the world, as one split."""
    clips = [clip for clip in plan(1, test_clips, seed) if clip.split != "train"]
    write_clips(folder, clips, seed=seed, split="test")


def calibrated_copy(run: pathlib.Path, folder: pathlib.Path) -> str:
    """Calibrates a run on clips of another seed; what the command says."""
    write_test_clips(folder / "videos", FITTED_CLIPS, seed=1)
    annotations = read_annotations("csv", folder / "videos")
    short_side = TrainedRun.open(run).preprocessing.short_side
    options = Options(short_side=short_side)
    convert("other_seed", annotations, folder / "data", options=options, workers=1)
    config = TrainedRun.open(run).config.copy_and_resolve_references()
    config.data.directory = str(folder / "data")
    return calibrate(run, config, split="test")


def main(arguments: list[str]) -> None:
    del arguments
    logging.set_verbosity(logging.FATAL)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        run = folder / "run"
        shutil.copytree(_RUN.value, run)
        (run / "calibration.json").unlink(missing_ok=True)
        plain = animal_clip_jax.load(run)
        print(calibrated_copy(run, folder))
        models = {"before": plain, "after": animal_clip_jax.load(run)}
        write_test_clips(folder / "judged", JUDGED_CLIPS, seed=2)
        for place, title in (
            (folder / "judged", "clips of another seed"),
            (pathlib.Path(_VIDEOS.value), "test clips of the demo"),
        ):
            print(f"\n{calibration_table(models, place, title)}")
        print(f"\nWindows of {WINDOW:.2f} s every {STRIDE:.2f} s\n")
        print(choice_of_a_length(plain, folder))
        assert plain.run is not None
        action_clips = plain.run.description.action_clips
        assert action_clips is not None
        majority = plain.actions[int(np.argmax(action_clips))]
        for kind in KINDS:
            print(f"\n{timeline_table(kind, plain, models['after'], majority, folder)}")


if __name__ == "__main__":
    app.run(main)
