"""How much is read of files that others have made.

Whatever exceeds one of these is refused, with the file and the place. They are far above what data
sets hold and far below what would fill a machine's memory or keep it busy for hours.
"""

import os

# A file of annotations or a list beside the shards, as a whole.
MOST_TEXT_BYTES = 1 << 30
MOST_LINE_CHARACTERS = 100_000
MOST_CELL_CHARACTERS = 32_767  # what a cell of Excel's can hold
MOST_NAME_CHARACTERS = 1_000
MOST_DIGITS = 9

# A workbook, before it is unpacked and after, and what Excel's sheets can hold.
MOST_WORKBOOK_BYTES = 1 << 28
MOST_WORKBOOK_ROWS = 1 << 20
MOST_WORKBOOK_COLUMNS = 256

# A frame as it is in the video, and as it is stored: twice what the largest cameras take.
MOST_FRAME_PIXELS = 1 << 26
MOST_JPEG_SIDE = 65_500
MOST_RECORD_BYTES = 1 << 30
# A square of this side is a frame of the most pixels.
MOST_SHORT_SIDE = 1 << 13

# What may be asked of a conversion: clips in a file or lost, and processes.
MOST_CLIPS = 10**9
MOST_WORKERS = 1024

# Decoding one video: so long, and longer for a large one.
SECONDS_A_VIDEO = 60.0
BYTES_A_SECOND = 20_000


def shown(path: str | os.PathLike[str]) -> str:
    """A path as text that can be written as UTF-8, whatever bytes the name is made of."""
    return os.fsencode(path).decode(errors="backslashreplace")


def decoding_seconds(num_bytes: int) -> float:
    """How long the decoding of a video of this size may take."""
    return SECONDS_A_VIDEO + num_bytes / BYTES_A_SECOND
