"""Small sets of clips made for a test: of the rendered videos, under other labels."""

import pathlib
import shutil
from collections.abc import Callable, Sequence

import av
import numpy as np

from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.record import Annotations
from data_pipeline.conversion.dataset_writer import Options, convert

Row = tuple[str, str, str, str]  # video relative to the rendered ones, animals, actions, split


def convert_csv(
    videos: pathlib.Path,
    folder: pathlib.Path,
    rows: Sequence[Row],
    *,
    short_side: int = 20,
    change: Callable[[Annotations], Annotations] = lambda annotations: annotations,
) -> pathlib.Path:
    """Converts some of the rendered videos with the labels that rows give them.

    Args:
        videos: see the fixture of that name.
        folder: to make the data set in.
        change: of what such a CSV does not say.

    Returns:
        the folder of the data set.
    """
    lines = ["video,animals,actions,split", *map(",".join, rows)]
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    for video, *_ in rows:
        target = folder / "videos" / video
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(videos / "videos" / video, target)
    annotations = change(read_annotations("csv", folder))
    convert("made", annotations, folder / "data", options=Options(short_side=short_side), workers=1)
    return folder / "data"


def write_noise(path: pathlib.Path, *, num_frames: int, height: int, width: int) -> None:
    """A video of random pictures."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for _ in range(num_frames):
            picture = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
