"""Folders of pictures, as videos."""

import numpy as np
import pytest
from made_videos import number_of, numbered_frame
from PIL import Image

from data_pipeline.decoding import VideoError
from data_pipeline.frame_folders import map_folder


def write_frames(folder, numbers, *, name="AAACXZTV_{:06d}.jpg", size=(48, 64)):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        picture = Image.fromarray(numbered_frame(number, *size))
        picture.save(folder / name.format(number), quality=95)
    return folder


def numbers(folder, select=np.arange, short_side=None):
    return map_folder(number_of, folder, select=select, short_side=short_side)


@pytest.mark.parametrize("name", ["AAACXZTV_{:06d}.jpg", "{}.png", "image-{}.JPEG"])
def test_frames_come_in_the_order_of_their_numbers(tmp_path, name):
    """Not of their names: 10 comes after 9."""
    folder = write_frames(tmp_path / "clip", range(1, 13), name=name)
    for other in (".DS_Store", "Thumbs.db", "._AAACXZTV_000001.jpg"):
        (folder / other).write_text("of an operating system")
    found, facts = numbers(folder)
    assert found == list(range(1, 13))
    assert (facts.num_frames, facts.height, facts.width, facts.frame_rate) == (12, 48, 64, 0)


def test_chosen_frames_at_the_short_side(tmp_path):
    folder = write_frames(tmp_path / "clip", range(20))
    sizes = []

    def note(frame):
        sizes.append(frame.shape)
        return number_of(frame)

    found, facts = map_folder(note, folder, select=lambda n: np.array([3, n - 1]), short_side=24)
    assert (found, sizes) == ([3, 19], [(24, 32, 3)] * 2)
    assert facts.frame_indices.tolist() == [3, 19]


class TestBadFolders:
    def reason(self, folder):
        with pytest.raises(VideoError) as error:
            numbers(folder)
        return str(error.value)

    def test_gaps(self, tmp_path):
        folder = write_frames(tmp_path / "clip", [1, 2, 5, 6, 8])
        assert self.reason(folder) == "3 frames are missing between 1 and 8, the first of them 3"

    def test_a_beginning_that_is_missing(self, tmp_path):
        folder = write_frames(tmp_path / "clip", [2, 3])
        assert self.reason(folder) == "the first frame is number 2; expected 0 or 1"

    def test_other_files(self, tmp_path):
        folder = write_frames(tmp_path / "clip", [1, 2])
        (folder / "notes.txt").write_text("good light")
        assert self.reason(folder).startswith("notes.txt is no frame")
        (folder / "notes.txt").unlink()
        (folder / "00003.jpg").mkdir()
        assert self.reason(folder).startswith("00003.jpg is no frame")

    def test_two_frames_of_a_number(self, tmp_path):
        folder = write_frames(tmp_path / "clip", [1, 2])
        write_frames(folder, [2], name="other_{}.jpg")
        assert "have one number" in self.reason(folder)

    def test_nothing(self, tmp_path):
        assert "cannot be read" in self.reason(tmp_path / "clip")
        (tmp_path / "clip").mkdir()
        assert self.reason(tmp_path / "clip") == "the folder of frames is empty"

    def test_damage(self, tmp_path):
        folder = write_frames(tmp_path / "clip", range(3))
        path = folder / "AAACXZTV_000001.jpg"
        path.write_bytes(path.read_bytes()[:200])
        assert self.reason(folder).startswith("the frame AAACXZTV_000001.jpg is damaged")
        path.write_text("no picture")
        assert self.reason(folder).startswith("the frame AAACXZTV_000001.jpg is damaged")

    def test_another_size(self, tmp_path):
        folder = write_frames(tmp_path / "clip", range(2))
        write_frames(folder, [2], size=(24, 32))
        assert self.reason(folder) == "the frame AAACXZTV_000002.jpg is 32x24, the first 64x48"
