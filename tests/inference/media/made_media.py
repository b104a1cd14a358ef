"""Videos of all kinds, and results of them that no model had to make."""

import dataclasses
import pathlib
from fractions import Fraction

import av
import numpy as np
from etils import epath
from made_videos import numbered_frame

from animal_clip_jax.inference.results import (
    Bout,
    Header,
    Media,
    VideoResult,
    Windows,
    write_results,
)
from data_pipeline.window_frames import frame_times, window_spans

ACTIONS = ("Walking", "Eating", "a/b: c", "行走")
ANIMALS = ("Red Fox", "Badger")
HEADER = Header(ACTIONS, ANIMALS, False, "given", "run", "tests", "2026-01-01T00:00:00+00:00", {})
VFR = [0, 1, 2, 10, 11, 12, 30, 31, 40, 41, 60, 61]


def write_with_sound(
    path: pathlib.Path,
    num_frames: int,
    codec: str,
    *,
    video_codec: str = "libx264",
    pixel_format: str = "yuv420p",
    tone_from: float = 0.0,
    rate: int = 12,
) -> pathlib.Path:
    """Numbered frames of 176x192, and a sound of the same length: silent, then a tone."""
    sampling = 48_000
    with av.open(str(path), "w") as container:
        video = container.add_stream(video_codec, rate=rate)
        video.height, video.width, video.pix_fmt = 176, 192, pixel_format
        audio = container.add_stream(codec, rate=sampling, layout="mono")
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number, 176, 192))
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(video.encode(frame))
            times = np.arange(sampling // rate) / sampling + number / rate
            wave = np.where(times >= tone_from, np.sin(2 * np.pi * 440 * times) / 2, 0)
            samples = av.AudioFrame.from_ndarray(
                wave[None].astype(np.float32), format="flt", layout="mono"
            )
            samples.sample_rate, samples.time_base = sampling, Fraction(1, sampling)
            samples.pts = number * (sampling // rate)
            container.mux(audio.encode(samples))
        container.mux(video.encode())
        container.mux(audio.encode())
    return path


def result_of(path: pathlib.Path, **changes) -> VideoResult:
    """A result with windows of half a second and bouts of 0.75 s, of one action after the other."""
    times = frame_times(path)
    spans = window_spans(times.end, 0.5, 0.25)
    random = np.random.default_rng(0)
    actions = random.dirichlet(np.ones(len(ACTIONS)), len(spans)).astype(np.float32)
    animals = random.dirichlet(np.ones(2), len(spans)).astype(np.float32)
    edges = [*np.arange(0, times.end - 1e-6, 0.75), times.end]
    bouts = tuple(
        Bout(start, stop, ACTIONS[k % len(ACTIONS)], ANIMALS[k % 2], 0.7)
        for k, (start, stop) in enumerate(zip(edges[:-1], edges[1:], strict=True))
    )
    media = Media(times.end, times.frame_rate, len(times.starts), 0, 0, times.has_audio)
    windows = Windows(spans[:, 0], spans[:, 1], actions, animals)
    result = VideoResult(
        path.name, str(path), times.problem, media, actions[0], animals[0], windows, bouts
    )
    return dataclasses.replace(result, **changes)


def results_of(folder: pathlib.Path, *results: VideoResult):
    """A file of them."""
    folder.mkdir(exist_ok=True)
    return write_results(epath.Path(folder) / "results.jsonl", HEADER, results)
