"""Encoding in which some videos kill the process, as a crash of a decoder or a lack of memory does.

A module of its own: processes that encode import it by its name.
"""

import os
import signal
from pathlib import Path

from data_pipeline.conversion.encode import EncodedVideo, Failure, encode_video


def encode(path: Path, *, short_side: int, max_frames: int) -> EncodedVideo | Failure:
    """As `encode_video`, but a video called deadly kills the process."""
    if "deadly" in path.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode_video(path, short_side=short_side, max_frames=max_frames)
