"""Encoding in which some videos kill the process, as a crash of a decoder or a lack of memory does.

A module of its own: processes that encode import it by its name.
"""

import os
import signal

from data_pipeline.conversion.encode import EncodedVideo, Failure, Footage, encode_video


def two_seconds(video: Footage) -> float:
    """How long a process may take over a video."""
    return 2.0


def encode(video: Footage, *, short_side: int, max_frames: int) -> EncodedVideo | Failure:
    """As `encode_video`, but a video called deadly kills the process, one called endless never
    ends, and one called strange raises what a library may raise."""
    while "endless" in video.path.name:
        pass
    if "strange" in video.path.name:
        raise MemoryError("no room for 96000 columns")
    if "deadly" in video.path.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode_video(video, short_side=short_side, max_frames=max_frames)
