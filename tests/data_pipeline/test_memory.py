"""Memory does not grow with the dataset: 200 clips against 2 000, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest
from made_videos import write_video

pytestmark = pytest.mark.slow

# Of a process that imports TensorFlow, half a GiB is its own. A leak of the stored frames alone
# would be 2 000 x 64 frames x 7 kB, 0.9 GB.
MOST_GROWTH = 60e6

CONVERT = """
import resource, sys
from pathlib import Path
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.conversion.dataset_writer import Options, convert

if __name__ == "__main__":
    source = Path(sys.argv[1])
    annotations = read_annotations("csv", source)
    convert("csv", annotations, source / "out", options=Options(short_side=96), workers=2)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""

# The processes that decode are started by one that this one started. How much each has had at most,
# Linux says of those that there are.
ENCODE = """
import os, sys
from pathlib import Path
from data_pipeline.conversion.encode import Footage, encode_in_order

def descendants():
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            after_name = (folder / "stat").read_text().rpartition(")")[2]
        except OSError:
            continue  # it has ended
        parents[int(folder.name)] = int(after_name.split()[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}

def peak(pid):
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

if __name__ == "__main__":
    videos = [Footage(path) for path in sorted(Path(sys.argv[1]).glob("*.mp4"))]
    most = 0
    for video in encode_in_order(videos, short_side=96, max_frames=64, workers=2):
        assert len(video.frames) == 64
        most = max([most, *map(peak, descendants())])
    print(most)
"""

READ = """
import itertools, resource, sys
from data_pipeline.batches.input import evaluation_batches, train_batches

settings = {"num_frames": 8, "image_size": 64, "batch_size": 8, "num_workers": 2}
batches = train_batches(sys.argv[1] + "/out", seed=0, **settings)
for batch in itertools.islice(batches, int(sys.argv[2])):
    pass
for batch in evaluation_batches(sys.argv[1] + "/out", split="train", **settings):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def peak_bytes(code: str, folder: Path, *arguments: str) -> int:
    script = folder / "measured.py"
    script.write_text(code)
    result = subprocess.run(
        [sys.executable, str(script), str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
    )
    return int(result.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    """Peak bytes of a conversion, of one of its workers, and of reading, for 200 and 2 000."""
    folder = tmp_path_factory.mktemp("memory")
    videos = [write_video(folder / f"{k}.mp4", 64, height=96, width=128) for k in range(4)]
    found = {}
    for number in (200, 2000):
        source = folder / str(number)
        source.mkdir()
        rows = ["video,animals,actions"]
        for k in range(number):
            (source / f"clip{k}.mp4").hardlink_to(videos[k % len(videos)])
            rows.append(f"clip{k}.mp4,Fox,Running")
        (source / "clips.csv").write_text("\n".join(rows))
        found[number] = {
            "conversion": peak_bytes(CONVERT, source),
            "worker": peak_bytes(ENCODE, source),
            "reading": peak_bytes(READ, source, str(number // 8)),
        }
    print(found)
    return found


@pytest.mark.parametrize("part", ["conversion", "worker", "reading"])
def test_ten_times_the_clips_need_no_more_memory(peaks, part):
    assert peaks[200][part] > 10e6
    assert peaks[2000][part] - peaks[200][part] < MOST_GROWTH
