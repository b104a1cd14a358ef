"""Results of a few videos, made by hand: two with bouts, and what else there may be."""

import numpy as np

from animal_clip_jax.inference.results import (
    Bout,
    Header,
    Media,
    VideoResult,
    Windows,
)

ACTIONS = ("Eating", "Running, fast (trot)", "Grooming & <licking> | ~")
ANIMALS = ("Red Fox", 'Bär "Öko"')
HEADER = Header(
    actions=ACTIONS,
    animals=ANIMALS,
    multi_label=False,
    animal_source="predicted",
    model="runs/demo, checkpoint 12",
    software="animal-clip-jax 0.1.0",
    made="2026-11-24T10:00:00+01:00",
    settings={"window": 2.0},
)
MEDIA = Media(duration=60.0, frame_rate=25.0, num_frames=1500, height=240, width=320)


def probabilities(*values):
    return np.array(values, np.float32)


def windows(*rows):
    """Windows of two seconds, one after the other."""
    starts = 2.0 * np.arange(len(rows))
    animals = np.tile(probabilities(0.7, 0.3), (len(rows), 1))
    return Windows(starts, starts + 2, np.array(rows, np.float32), animals)


# Two bouts of the same animal and action touch, and a third overlaps them.
WITH_BOUTS = VideoResult(
    name="camera 1/füchse, nachts & <dusk>.mp4",
    path="/data/camera 1/füchse, nachts & <dusk>.mp4",
    media=MEDIA,
    actions=probabilities(0.6, 0.3, 0.1),
    animals=probabilities(0.7, 0.3),
    windows=windows(*[(0.8, 0.1, 0.1)] * 30),
    bouts=(
        Bout(1.0, 3.0, ACTIONS[0], ANIMALS[0], 0.8),
        Bout(3.0, 4.0, ACTIONS[0], ANIMALS[0], 0.5),
        Bout(3.5, 5.0, ACTIONS[0], ANIMALS[0], 0.6),
        Bout(2.25, 6.5, ACTIONS[1], ANIMALS[1], 0.9),
        Bout(10.0, 12.0, ACTIONS[0], ANIMALS[0], 0.7),
    ),
)
# It stopped halfway, and its bout ends after its last frame.
TO_ITS_MIDDLE = VideoResult(
    name='b "quoted".mkv',
    path='/data/b "quoted".mkv',
    problem="only the first 8.0 s could be decoded: damaged",
    media=Media(8.0, 10.0, 80, 240, 320, has_audio=True),
    actions=probabilities(0.2, 0.2, 0.6),
    animals=probabilities(),
    windows=windows(*[(0.2, 0.2, 0.6)] * 4),
    bouts=(Bout(0.5, 8.5, ACTIONS[2], "", 0.6),),
)
WHOLE = VideoResult(
    name="c.mp4",
    path="/data/c.mp4",
    media=Media(4.0, 12.5, 50, 240, 320),
    actions=probabilities(0.1, 0.7, 0.2),
    animals=probabilities(0.2, 0.8),
)
FAILED = VideoResult(name="d.mp4", path="/data/d.mp4", problem="no video in it, <audio> only")
BLANK = VideoResult(
    name="e/blank.mov",
    path="/data/e/blank.mov",
    media=Media(10.0, 30.0, 300, 240, 320),
    actions=probabilities(0.4, 0.3, 0.3),
    animals=probabilities(0.5, 0.5),
    windows=windows(*[(0.4, 0.3, 0.3)] * 5),
    blank=True,
)
NOTHING_FOUND = VideoResult(
    name="f.mp4",
    path="/data/f.mp4",
    media=Media(6.0, 30.0, 180, 240, 320),
    actions=probabilities(0.4, 0.3, 0.3),
    animals=probabilities(0.5, 0.5),
    windows=windows(*[(0.4, 0.3, 0.3)] * 3),
)
VIDEOS = (WITH_BOUTS, TO_ITS_MIDDLE, WHOLE, FAILED, BLANK, NOTHING_FOUND)

_A = "A,52.5,13.4,2026-04-30T10:00:00+02:00,2026-06-01T10:00:00+02:00"
_B = "B,-1.25,36.8,2026-05-01T00:00:00Z,2026-05-03T00:00:00Z,,"
_COLUMNS = "deploymentID,latitude,longitude,deploymentStart,deploymentEnd,locationName,baitUse"
DEPLOYMENTS = f"""\
filePath,timestamp,{_COLUMNS}
"{WITH_BOUTS.name}",2026-05-01T23:59:30+02:00,{_A},"Grunewald, am Teich",false
"b ""quoted"".mkv",2026-05-02T01:00:00Z,{_B}
c.mp4,2026-05-02 02:00:00.25+00:00,{_B}
d.mp4,2026-05-02T03:00:00Z,{_B}
data/e/blank.mov,2026-05-02T04:00:00Z,{_B}
f.mp4,2026-05-02T05:00:00Z,{_B}
"""
