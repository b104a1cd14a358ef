"""What TensorBoard shows of a run: a few curves, a few clips with predictions, the configuration.

All figures are in `metrics.jsonl`; these are the ones that one looks at.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from animal_clip_jax.files import cannot_write, is_remote
from animal_clip_jax.run.data import ClipSet

FOLDER = "tensorboard"
INSTALL = "pip install 'animal-clip-jax[tensorboard]'"
_SAMPLES = 8
_STRIP_HEIGHT, _LINE_HEIGHT, _FONT_SIZE = 96, 20, 14


class TensorBoard:
    """Writes TensorBoard's event files into a local workdir, where its writer is installed.

    Args:
        is_written: false in the processes that leave it to the first.

    Raises:
        UserError: the folder cannot be written, since the disk is full, for instance; here, and in
            what writes.
    """

    def __init__(self, workdir: epath.Path, *, is_written: bool = True):
        self._writer: Any = None
        self.missing = ""
        if not is_written:
            return
        if is_remote(workdir):
            # Into a cloud's folder it would need that cloud's own library.
            self.missing = "no TensorBoard events: the workdir is not on this machine"
            return
        try:
            # Imported here: it imports torch where that is installed.
            from tensorboardX import summary
            from tensorboardX.event_file_writer import EventsWriter
            from tensorboardX.proto.event_pb2 import Event
        except ImportError:
            self.missing = f"no TensorBoard events; to have them: {INSTALL}"
            return
        self._summary, self._event = summary, Event
        self._folder = workdir / FOLDER
        # Not SummaryWriter, which writes in a thread: where that fails, the training would wait.
        with self._writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._writer = EventsWriter(str(self._folder / "events"))

    @property
    def is_written(self) -> bool:
        """Whether this process writes events; if not, `missing` says why."""
        return self._writer is not None

    def curves(self, step: int, kind: str, figures: Mapping[str, float]) -> None:
        """Adds a point to each curve "KIND/NAME"."""
        if self._writer is None:
            return
        self._write(
            step, [self._summary.scalar(f"{kind}/{name}", value) for name, value in figures.items()]
        )

    def configuration(self, config: ConfigDict) -> None:
        """Adds the configuration, as text."""
        if self._writer is not None:
            text = json.dumps(config.to_dict(), indent=2)
            self._write(0, [self._summary.text("configuration", f"```\n{text}\n```")])

    def clips(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Adds images (height, width, 3) uint8 by the id of their clip."""
        if self._writer is None:
            return
        self._write(
            step,
            [
                self._summary.image(f"clips/{clip_id}", image, dataformats="HWC")
                for clip_id, image in images.items()
            ],
        )

    def _write(self, step: int, summaries: Sequence[Any]) -> None:
        with self._writing():
            for summary in summaries:
                event = self._event(wall_time=time.time(), step=step, summary=summary)
                self._writer.write_event(event)
            self._writer.flush()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(self._folder, error) from error


class ClipSample:
    """A handful of clips, to be shown with what a model says of them.

    Args:
        config: says where the data is, and how it is looked at.
        clips: of which a few are taken, evenly spaced.
        action_names: in the order of the model's outputs.
    """

    def __init__(self, config: ConfigDict, clips: ClipSet, action_names: Sequence[str]):
        self._config = config
        self._clips = clips
        self._action_names = action_names
        count = min(_SAMPLES, len(clips.index))
        self._chosen = np.unique(np.linspace(0, len(clips.index) - 1, count).round().astype(int))
        self._frames: np.ndarray | None = None

    def images(self, probabilities: np.ndarray) -> dict[str, np.ndarray]:
        """A strip of frames of each clip, under its annotated and its predicted actions.

        Args:
            probabilities: (clips, actions), of all the clips.

        Returns:
            images (height, width, 3) uint8 by clip id.
        """
        if self._frames is None:
            self._frames = self._read()
        index = self._clips.index
        images = {}
        for frames, row in zip(self._frames, self._chosen, strict=True):
            annotated = ", ".join(self._action_names[action] for action in index.actions[row])
            best = np.argsort(-probabilities[row], kind="stable")[:3]
            predicted = ", ".join(
                f"{self._action_names[action]} {probabilities[row, action]:.0%}" for action in best
            )
            lines = (f"annotated: {annotated}", f"predicted: {predicted}")
            images[index.clip_ids[row]] = strip(frames, lines, int(best[0]) in index.actions[row])
        return images

    def _read(self) -> np.ndarray:
        """(clips, frames, size, size, 3) uint8."""
        from data_pipeline.batches import input as input_pipeline

        clips, config = self._clips, self._config
        rows = self._chosen if clips.rows is None else clips.rows[self._chosen]
        batches = input_pipeline.evaluation_batches(
            config.data.directory,
            split=clips.split,
            num_frames=config.model.num_frames,
            image_size=config.model.architecture.image_size,
            batch_size=len(rows),
            num_workers=config.data.num_workers or None,
            rows=rows,
        )
        return next(iter(batches))["frames"][:, 0]


def strip(frames: np.ndarray, lines: Sequence[str], is_right: bool) -> np.ndarray:
    """Frames side by side under lines of text: green if a prediction is right, red if it is not.

    Args:
        frames: (frames, size, size, 3) uint8.

    Returns:
        (height, width, 3) uint8.
    """
    from PIL import Image, ImageDraw, ImageFont

    side_by_side = Image.fromarray(np.concatenate(list(frames), axis=1))
    width = side_by_side.width * _STRIP_HEIGHT // side_by_side.height
    font = ImageFont.load_default(_FONT_SIZE)
    text_width = max(int(font.getlength(line)) for line in lines) + 8
    image = Image.new(
        "RGB", (max(width, text_width), _STRIP_HEIGHT + _LINE_HEIGHT * len(lines)), "white"
    )
    draw = ImageDraw.Draw(image)
    colours = ["black"] * (len(lines) - 1) + ["darkgreen" if is_right else "firebrick"]
    for number, (line, colour) in enumerate(zip(lines, colours, strict=True)):
        draw.text((4, number * _LINE_HEIGHT + 1), line, fill=colour, font=font)
    image.paste(side_by_side.resize((width, _STRIP_HEIGHT)), (0, _LINE_HEIGHT * len(lines)))
    return np.asarray(image)
