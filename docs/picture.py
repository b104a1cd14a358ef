"""Draws the README's picture: clips that the demo's model was not trained on, and what it says.

    python docs/picture.py --run=runs/demo/run --videos=runs/demo/videos/videos \
      --output=docs/images/demo.png

Each row is a clip: frames from left to right, and beneath them the three most probable actions.
"""

import argparse
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import animal_clip_jax
from animal_clip_jax.inference.answers import Prediction
from animal_clip_jax.inference.predictor import Predictor
from data_pipeline.video import read_video

# Test clips, and what is particular about them. Of each pair of actions one is the other played
# backwards, so that single frames do not tell them apart.
CLIPS = (
    (
        "StandingUp/Zebra_test_unseen_animals_000.mp4",
        "A zebra standing up. Training shows no zebra.",
    ),
    (
        "LyingDown/Zebra_test_unseen_animals_000.mp4",
        "A zebra lying down: the same poses in the other order.",
    ),
)
NUM_FRAMES, FRAME_SIZE, GAP, MARGIN = 8, 120, 4, 20
SHOWN_ACTIONS, LINE, NAME_WIDTH, PERCENT_WIDTH = 3, 26, 160, 60
BAR, OTHER_BAR, TEXT, FAINT = "#2f6f4f", "#b9c9c0", "#222222", "#666666"


def draw_clip(video: pathlib.Path, title: str, actions: Sequence[Prediction]) -> Image.Image:
    """A row of the picture.

    Args:
        video: the clip.
        title: what it shows.
        actions: with probabilities, the most probable first.
    """
    frames = read_video(video, select=_spread).frames
    width = NUM_FRAMES * (FRAME_SIZE + GAP) - GAP
    row = Image.new("RGB", (width, LINE + FRAME_SIZE + 8 + SHOWN_ACTIONS * LINE), "white")
    draw = ImageDraw.Draw(row)
    font = ImageFont.load_default(17)
    draw.text((0, 0), title, fill=TEXT, font=font)
    for place, frame in enumerate(frames):
        tile = Image.fromarray(frame).resize((FRAME_SIZE, FRAME_SIZE), Image.Resampling.LANCZOS)
        row.paste(tile, (place * (FRAME_SIZE + GAP), LINE))
    bar_width = width - NAME_WIDTH - PERCENT_WIDTH
    for place, (name, probability) in enumerate(actions[:SHOWN_ACTIONS]):
        top = LINE + FRAME_SIZE + 8 + place * LINE
        draw.text((0, top), name, fill=TEXT if place == 0 else FAINT, font=font)
        length = max(2, round(probability * bar_width))
        box = (NAME_WIDTH, top + 3, NAME_WIDTH + length, top + LINE - 7)
        draw.rectangle(box, fill=BAR if place == 0 else OTHER_BAR)
        draw.text((box[2] + 8, top), percent(probability), fill=TEXT, font=font)
    return row


def percent(probability: float) -> str:
    """In whole percent; a probability is never 0 or 1."""
    if probability < 0.005:
        return "<1%"
    return ">99%" if probability > 0.995 else f"{probability:.0%}"


def draw(model: Predictor, videos: pathlib.Path) -> Image.Image:
    """The picture: a row for each of `CLIPS`."""
    rows = [
        draw_clip(videos / path, title, model.predict(videos / path).actions)
        for path, title in CLIPS
    ]
    height = sum(row.height for row in rows) + MARGIN * (len(rows) + 1)
    picture = Image.new("RGB", (rows[0].width + 2 * MARGIN, height), "white")
    top = MARGIN
    for row in rows:
        picture.paste(row, (MARGIN, top))
        top += row.height + MARGIN
    return picture


def _spread(num_frames: int) -> np.ndarray:
    return np.linspace(0, num_frames - 1, NUM_FRAMES).round().astype(int)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="Draws the README's picture.")
    parser.add_argument("--run", required=True, help="folder of the demo's run")
    parser.add_argument("--videos", type=pathlib.Path, required=True, help="folder of its videos")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="PNG to write")
    parsed = parser.parse_args()
    picture = draw(animal_clip_jax.load(parsed.run), parsed.videos)
    parsed.output.parent.mkdir(parents=True, exist_ok=True)
    # The drawn animals have few colours: a palette makes the file a third as large.
    picture.quantize(128).save(parsed.output, optimize=True)
    print(parsed.output)


if __name__ == "__main__":
    main()
