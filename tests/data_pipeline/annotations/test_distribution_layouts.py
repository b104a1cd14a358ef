"""The folders as they are when they have been unpacked: nothing is renamed."""

import shutil
from pathlib import Path, PurePosixPath

import pytest
from test_animal_kingdom import ACTIONS, write_workbook

from data_pipeline.annotations.datasets import READERS, read_annotations
from data_pipeline.annotations.read_options import ReadOptions
from data_pipeline.annotations.record import AnnotationError

CLIPS = [
    ("AAAA", "train", "3,1", "[('Fish', 'Moving'), ('Fish', 'Eating')]", None),
    ("BBBB", "test", "0", "[('Fish', 'Attending')]", None),
]
TRAIN_LINE = "AAAA.mp4\t[('Fish', 'Moving'), ('Fish', 'Eating')]\n"
TEST_LINE = "BBBB.mp4\t[('Fish', 'Attending')]\n"
CHARADES_HEADER = "original_vido_id video_id frame_id path labels\n"


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def label_file(names, header="id,name"):
    return f"{header}\r\n" + "".join(f"{k},{name}\r\n" for k, name in enumerate(names))


def splits(annotations):
    return {clip.path: clip.split for clip in annotations.clips}


def roots(annotations, below):
    return [root.relative_to(below).as_posix() for root in annotations.roots]


class TestAnimalKingdom:
    @pytest.fixture
    def official(self, tmp_path):
        """The official layout, in a folder of downloads."""
        base = tmp_path / "Animal_Kingdom" / "action_recognition"
        (base / "annotation").mkdir(parents=True)
        write_workbook(base / "annotation", CLIPS)
        for name in ("AAAA", "BBBB"):
            write(base / "dataset" / "video" / f"{name}.mp4")
        return tmp_path

    @pytest.mark.parametrize("below", [".", "Animal_Kingdom", "Animal_Kingdom/action_recognition"])
    def test_official(self, official, below):
        annotations = read_annotations("animal_kingdom", official / below)
        assert splits(annotations) == {"AAAA.mp4": "train", "BBBB.mp4": "test"}
        assert annotations.roots[0].samefile(
            official / "Animal_Kingdom/action_recognition/dataset/video"
        )
        assert not annotations.are_frames

    def test_in_another_case(self, official):
        base = official / "Animal_Kingdom" / "action_recognition"
        (base / "annotation" / "AR_metadata.xlsx").rename(base / "annotation" / "ar_METADATA.xlsx")
        (base / "annotation").rename(base / "Annotation")
        (base / "dataset").rename(base / "Dataset")
        annotations = read_annotations("animal_kingdom", official / "Animal_Kingdom")
        assert roots(annotations, base) == ["Dataset/video"]

    def test_release(self, tmp_path):
        write(tmp_path / "annotation" / "train_all.txt", TRAIN_LINE)
        write(tmp_path / "annotation" / "test_animal.txt", TEST_LINE)
        write(tmp_path / "annotation" / "label.csv", label_file(ACTIONS))
        write(tmp_path / "annotation" / "animal_label.csv", label_file(["Bear", "Fish"]))
        write(tmp_path / "annotation" / "animal-action-relation.txt", "Bear\t[1]\t1\n")
        write(tmp_path / "video" / "AAAA.avi")
        annotations = read_annotations("animal_kingdom", tmp_path)
        assert splits(annotations) == {"AAAA.mp4": "train", "BBBB.mp4": "test"}
        assert annotations.action_names == tuple(ACTIONS)
        assert annotations.animal_names == ("Bear", "Fish")
        assert roots(annotations, tmp_path) == ["video"]

    def test_folders_of_frames(self, official):
        dataset = official / "Animal_Kingdom" / "action_recognition" / "dataset"
        for name in ("AAAA", "BBBB"):
            write(dataset / "image" / name / f"{name}_000001.jpg")
        both = read_annotations("animal_kingdom", official)
        assert not both.are_frames
        assert any("not the frames in" in note for note in both.notes)
        shutil.rmtree(dataset / "video")
        annotations = read_annotations("animal_kingdom", official)
        assert annotations.are_frames
        assert annotations.roots[0].samefile(dataset / "image")
        assert splits(annotations) == {"AAAA": "train", "BBBB": "test"}
        assert [clip.clip_id for clip in annotations.clips] == ["AAAA", "BBBB"]

    def test_an_archive_is_to_be_unpacked(self, official):
        dataset = official / "Animal_Kingdom" / "action_recognition" / "dataset"
        shutil.rmtree(dataset / "video")
        write(dataset / "video.tar.gz")
        with pytest.raises(FileNotFoundError, match=r"unpack .*dataset/video.tar.gz first"):
            read_annotations("animal_kingdom", official)
        looked_at = read_annotations(
            "animal_kingdom", official, options=ReadOptions(may_lack_videos=True)
        )
        assert len(looked_at.clips) == 2
        assert any("video.tar.gz first" in note for note in looked_at.notes)

    def test_other_labels_of_another_form_are_said(self, official):
        folder = official / "Animal_Kingdom" / "action_recognition" / "annotation"
        write(folder / "train_all.txt", "AAAA.mp4\t[('Fish', 'Moving'), ('Fish', 'Attending')]\n")
        write(folder / "test_animal.txt", TEST_LINE)
        notes = read_annotations("animal_kingdom", official).notes
        assert [note for note in notes if "differs" in note] == [
            "the text form differs from the official workbook in 1 clip: 1 listed otherwise, "
            "0 not listed, 0 more; the first is AAAA"
        ]

    def test_one_of_several_forms_is_chosen_and_said(self, official):
        folder = official / "Animal_Kingdom" / "action_recognition" / "annotation"
        write(folder / "train_all.txt", TRAIN_LINE + "CCCC.mp4\t[('Fish', 'Moving')]\n")
        write(folder / "test_animal.txt", "AABB.mp4\t[('Fish', 'Moving')]\n")
        write(folder / "train.csv", f"{CHARADES_HEADER}AAAA 1 0 AAAA/1.jpg 3,1\n")
        write(folder / "val.csv", f"{CHARADES_HEADER}BBBB 2 0 BBBB/1.jpg 0\n" * 2)
        chosen = read_annotations("animal_kingdom", official)
        assert "official workbook" in chosen.notes[0]
        assert "train_all.txt" in chosen.notes[0]
        assert chosen.clips[0].animals == ("Fish",)
        # BBBB is not in the text, AABB and CCCC are there alone; the third form agrees.
        assert [note for note in chosen.notes if "differs" in note] == [
            "the text form differs from the official workbook in 3 clips: 0 listed otherwise, "
            "1 not listed, 2 more; the first is BBBB"
        ]
        for wanted in (folder / "test_animal.txt", Path("train_all.txt")):
            text = read_annotations(
                "animal_kingdom", official, options=ReadOptions(annotations=wanted)
            )
            assert splits(text) == {"AAAA.mp4": "train", "CCCC.mp4": "train", "AABB.mp4": "test"}
        frames = read_annotations(
            "animal_kingdom", official, options=ReadOptions(annotations=folder / "val.csv")
        )
        assert [clip.actions for clip in frames.clips] == [("Moving", "Eating"), ("Attending",)]
        assert frames.animal_names == ()

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("nothing.txt", "nothing.txt are neither there nor in .*annotation"),
            ("more.txt", "the name 'more.txt' is of no form that is known"),
            ("test_animal.txt", "no train split of the text form: none of train_all.txt"),
        ],
    )
    def test_wanted_files_of_no_form(self, official, name, message):
        folder = official / "Animal_Kingdom" / "action_recognition" / "annotation"
        write(folder / "more.txt", TRAIN_LINE)
        write(folder / "test_animal.txt", TEST_LINE)
        with pytest.raises((AnnotationError, FileNotFoundError), match=message):
            read_annotations(
                "animal_kingdom", official, options=ReadOptions(annotations=folder / name)
            )

    def test_a_form_that_does_not_parse_is_no_obstacle_to_another(self, official):
        folder = official / "Animal_Kingdom" / "action_recognition" / "annotation"
        write(folder / "train_all.txt", "\0\n")
        write(folder / "test_animal.txt", TEST_LINE)
        notes = read_annotations("animal_kingdom", official).notes
        assert any("cannot be compared" in note and "line 1" in note for note in notes)

    def test_frame_rows_are_read_line_by_line(self, tmp_path):
        """Repeated rows are passed over; what differs in one of them is not."""
        write(tmp_path / "label.csv", label_file(ACTIONS))
        rows = "".join(f'AAAA 1 {k} AAAA/{k}.jpg "3"\n' for k in range(3))
        write(tmp_path / "train.csv", f"\ufeff{CHARADES_HEADER}{rows}AAAA 1 3 AAAA/3.jpg 1,3\n")
        write(tmp_path / "val.csv", f"{CHARADES_HEADER}BBBB 2 0 BBBB/1.jpg 0\n")
        write(tmp_path / "AAAA.mp4")
        annotations = read_annotations("animal_kingdom", tmp_path)
        assert [clip.actions for clip in annotations.clips] == [
            ("Moving", "Eating"),
            ("Attending",),
        ]
        assert annotations.roots[0].samefile(tmp_path)
        write(tmp_path / "val.csv", f"{CHARADES_HEADER}BBBB 2 0 BBBB/1.jpg 0\nBBBB 2 \xff 4\n")
        with pytest.raises(AnnotationError, match="val.csv, line 3: expected `original_vido_id"):
            read_annotations("animal_kingdom", tmp_path)


class TestMammalNet:
    LABELS = {
        "behavior_to_id.csv": "\ufeff" + label_file(["drinks water", "sleeps", "eats food"]),
        "genus_to_id.csv": "\ufeff"
        + label_file(["panthera", "vulpes", "bos", "ovis"], "label,name"),
    }

    def make(self, folder, train, test, suffix="csv", videos="trimmed_video"):
        composition = folder / "annotation" / "composition"
        for name, text in self.LABELS.items():
            write(composition / name, text)
        write(composition / f"train.{suffix}", train)
        write(composition / f"test.{suffix}", test)
        write(folder / videos / "a.mp4")
        return folder

    @pytest.mark.parametrize(
        ("train", "test"),
        [
            ("a.mp4 1 3\nb c.mp4 2 0\n", "d.mp4 1 1\n"),
            ("a.mp4,1,3\nb c.mp4,2,0\n", "d.mp4,1,1\n"),
            ("\ufeffa.mp4, 1, 3\r\nb c.mp4, 2, 0\r\n", "\ufeffd.mp4, 1, 1\r\n\r\n"),
            ("a.mp4;1;3\nb c.mp4;2;0\n", "d.mp4 1 1\n"),
            ("a.mp4\t1\t3\nb c.mp4\t2\t0\n", "d.mp4,1,1\n"),
            ("video,behavior,genus\na.mp4,1,3\nb c.mp4,2,0\n", "video,behavior,genus\nd.mp4,1,1\n"),
            ("a.mp4,sleeps,ovis\nb c.mp4,Eats food,Panthera\n", "d.mp4,sleeps,1\n"),
            ("a.mp4 sleeps ovis\nb c.mp4 eats food panthera\n", "d.mp4 sleeps vulpes\n"),
            (
                "trimmed_video/a.mp4,1,3\n./trimmed_video/b c.mp4,2,0\n",
                "trimmed_videos/d.mp4 1 1\n",
            ),
        ],
    )
    @pytest.mark.parametrize("suffix", ["csv", "txt"])
    def test_rows(self, tmp_path, train, test, suffix):
        annotations = read_annotations("mammalnet", self.make(tmp_path, train, test, suffix))
        assert [
            (clip.path, clip.actions[0], clip.animals[0], clip.split) for clip in annotations.clips
        ] == [
            ("a.mp4", "sleeps", "ovis", "train"),
            ("b c.mp4", "eats food", "panthera", "train"),
            ("d.mp4", "sleeps", "vulpes", "test"),
        ]
        assert not annotations.multi_label
        assert not any("animal stands before" in note for note in annotations.notes)

    @pytest.mark.parametrize("videos", ["trimmed_video", "trimmed_videos", "videos"])
    def test_folders_of_videos(self, tmp_path, videos):
        source = self.make(tmp_path / "MammalNet", "a.mp4,1,3\n", "d.mp4,1,1\n", videos=videos)
        for given in (source, tmp_path):
            annotations = read_annotations("mammalnet", given)
            assert annotations.roots[0].samefile(source / videos)

    def test_seen_and_unseen_pairs(self, tmp_path):
        train = "a.mp4 0 0\nb.mp4 0 1\nc.mp4 1 0\n"
        test = "d.mp4 0 0\ne.mp4 1 1\nf.mp4 1 1\ng.mp4 2 3\n"
        notes = read_annotations("mammalnet", self.make(tmp_path, train, test, "txt")).notes
        assert (
            "of the 3 pairs of an animal and an action in the 4 test clips, 1 are in training, too "
            "(1 clips), and 2 are not (3 clips)" in notes
        )

    def test_both_forms(self, tmp_path):
        self.make(tmp_path, "a.mp4 1 3\nb.mp4 0 0\n", "d.mp4 1 1\n", "txt")
        self.make(tmp_path, "trimmed_video/a.avi,sleeps,ovis\nb.mp4,2,0\n", "d.mp4,1,1\n", "csv")
        annotations = read_annotations("mammalnet", tmp_path)
        assert annotations.clips[1].actions == ("drinks water",)
        assert (
            "the official csv differs from the text form in 1 clip: 1 listed otherwise, "
            "0 not listed, 0 more; the first is b"
        ) in annotations.notes
        wanted = ReadOptions(annotations=tmp_path / "annotation/composition/test.csv")
        assert read_annotations("mammalnet", tmp_path, options=wanted).clips[1].actions == (
            "eats food",
        )

    def test_the_animal_may_stand_before_the_behaviour(self, tmp_path):
        # No behaviour has the id 3.
        source = self.make(tmp_path, "a.mp4,3,1\nb.mp4,3,0\nc.mp4,3,2\n", "d.mp4,1,0\n")
        annotations = read_annotations("mammalnet", source)
        assert [(clip.actions[0], clip.animals[0]) for clip in annotations.clips] == [
            ("sleeps", "ovis"),
            ("drinks water", "ovis"),
            ("eats food", "ovis"),
            ("drinks water", "vulpes"),
        ]
        assert any("animal stands before" in note for note in annotations.notes)

    def test_a_wrong_number_swaps_nothing(self, tmp_path):
        rows = "".join(f"{k}.mp4,1,{k % 3}\n" for k in range(6))
        source = self.make(tmp_path, rows + "x.mp4,3,1\n", "d.mp4,1,1\n")
        with pytest.raises(AnnotationError, match="line 7: the action id 3 is unknown; there are"):
            read_annotations("mammalnet", source)

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("b.mp4,1", "train.csv, line 2: 2 cells, expected 3"),
            ("b.mp4,1,1,1", "train.csv, line 2: 4 cells, expected 3"),
            ("b.mp4,5,1", "train.csv, line 2: the action id 5 is unknown; there are 3"),
            ("b.mp4,1,fox", "train.csv, line 2: the animal 'fox' is not among the 4"),
            ("../b.mp4,1,1", "train.csv, line 2: the video '../b.mp4' is not a path inside"),
            ("trimmed_video/../../b.mp4,1,1", "line 2: the video '../../b.mp4' is not a path"),
            ("/b.mp4,1,1", "train.csv, line 2: the video '/b.mp4' is not a path inside"),
            ("A.mp4,1,1", "line 2: the clip 'A' differs in case alone from 'a'"),
        ],
    )
    def test_wrong_rows(self, tmp_path, row, message):
        source = self.make(tmp_path, f"a.mp4,1,3\n{row}\n", "d.mp4,1,1\n")
        with pytest.raises(AnnotationError, match=message):
            read_annotations("mammalnet", source)


class TestLote:
    @pytest.mark.parametrize(
        ("videos", "expected"),
        [
            ("videos", "videos"),
            ("", "."),
            ("rgb clips", "rgb clips"),
            ("LoTE/videos", "LoTE/videos"),
        ],
    )
    def test_class_folders_lie_anywhere(self, tmp_path, videos, expected):
        annotation = tmp_path / "annotation"
        write(annotation / "LoTE_train.txt", "Parental/Boar1.avi 0 1\nFeeding/Boar 3.avi 1 1 \n\n")
        write(annotation / "LoTE_test.txt", "Feeding/Bear2.avi 1 0\r\n\r\n")
        write(annotation / "LoTE_label.csv", label_file(["Parental", "Feeding"], "id,label"))
        write(annotation / "animal_label.csv", label_file(["Ursus", "Sus Scrofa"], "id,label"))
        write(tmp_path / videos / "Parental" / "Boar1.avi")
        write(tmp_path / videos / "Feeding" / "Boar 3.avi")
        write(tmp_path / "other" / "Feeding" / "notes.txt")
        annotations = read_annotations("lote_animal", tmp_path)
        assert roots(annotations, tmp_path) == [expected]
        assert [(clip.clip_id, clip.split) for clip in annotations.clips] == [
            ("Parental/Boar1", "train"),
            ("Feeding/Boar 3", "train"),
            ("Feeding/Bear2", "test"),
        ]


@pytest.mark.parametrize("dataset", ["animal_kingdom", "mammalnet", "lote_animal"])
def test_files_that_are_looked_for(tmp_path, dataset):
    empty = READERS[dataset].files(tmp_path)
    assert all(file.found is None and tmp_path in file.folders for file in empty)
    for file in empty:
        write(tmp_path / file.names[-1].upper())
    for file in READERS[dataset].files(tmp_path):
        assert PurePosixPath(file.found.name.casefold()).name == file.names[-1].casefold()
    with pytest.raises(FileNotFoundError, match="no_such does not exist"):
        read_annotations(dataset, tmp_path / "no_such")
