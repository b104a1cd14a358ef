"""Animal Kingdom's three forms."""

from pathlib import Path

import openpyxl
import pytest

from data_pipeline.annotations.animal_kingdom import read_animal_kingdom
from data_pipeline.annotations.record import AnnotationError

ACTIONS = ["Attending", "Eating", "Keeping still", "Moving"]
HEAD = Path(__file__).parents[4] / "shared" / "annotations"


@pytest.fixture
def source(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "annotations").mkdir()
    return tmp_path


def write_text_form(source, train, test="TESTCLIP.mp4\t[('Fish', 'Moving')]\n", **labels):
    (source / "annotations" / "train.txt").write_text(train)
    (source / "annotations" / "test.txt").write_text(test)
    for name, names in labels.items():
        rows = "".join(f"{number},{label}\r\n" for number, label in enumerate(names))
        (source / "annotations" / f"{name}.csv").write_text("\ufeffid,name\r\n" + rows + "\r\n")


def write_workbook(source, clips, animals=("Russell's Viper", "Common Quail Bird", "Fish")):
    book = openpyxl.Workbook()
    sheets = {
        "AR": (["video_id", "type", "labels", "list_animal_action", "other"], clips),
        "Action": (["Label", "Action", "Category"], [(k, a, "x") for k, a in enumerate(ACTIONS)]),
        "Animal": (["Animal", "Parent Class"], [(name, "y") for name in animals]),
    }
    for name, (header, rows) in sheets.items():
        sheet = book.create_sheet(name)
        for row in (header, *rows):
            sheet.append(list(row))
    book.save(source / "AR_metadata.xlsx")


class TestTextForm:
    def test_pairs_become_actions_animals_and_who_does_what(self, source):
        write_text_form(
            source,
            "AAACXZTV.mp4\t[('Mongoose', 'Moving'), ('Black Mamba', 'Moving'), "
            "('Mongoose', 'Eating')]\n\n",
        )
        clip = read_animal_kingdom(source).clips[0]
        assert (clip.clip_id, clip.path, clip.split) == ("AAACXZTV", "AAACXZTV.mp4", "train")
        assert clip.actions == ("Moving", "Eating")
        assert clip.animals == ("Mongoose", "Black Mamba")
        assert clip.performed == (
            ("Mongoose", "Moving"),
            ("Black Mamba", "Moving"),
            ("Mongoose", "Eating"),
        )

    def test_without_label_files_labels_are_sorted(self, source):
        write_text_form(source, "A.mp4\t[('Zebra', 'Walking'), ('Ant', 'Digging')]\n")
        annotations = read_animal_kingdom(source)
        assert annotations.action_names == ("Digging", "Moving", "Walking")
        assert annotations.animal_names == ("Ant", "Fish", "Zebra")
        assert annotations.multi_label

    def test_label_files_pin_order_and_spelling(self, source):
        write_text_form(
            source,
            "A.mp4\t[('Russell'S viper', 'KEEPING STILL')]\n",
            label=ACTIONS,
            animal_label=["Fish", "Russell's Viper"],
        )
        annotations = read_animal_kingdom(source)
        assert annotations.action_names == tuple(ACTIONS)
        assert annotations.animal_names == ("Fish", "Russell's Viper")
        assert annotations.clips[0].actions == ("Keeping still",)
        assert annotations.clips[0].animals == ("Russell's Viper",)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("A.mp4 [('Fish', 'Moving')]", "train.txt, line 2: expected `video.mp4<TAB>"),
            ("A.mp4\t[('Fish')]", "train.txt, line 2: expected pairs"),
            ("A.mp4\t[('Fish', 'Flying')]", "train.txt, line 2: the action 'Flying' is not among"),
            ("A.mp4\t[('Bat', 'Moving')]", "train.txt, line 2: the animal 'Bat' is not among"),
            ("../A.mp4\t[('Fish', 'Moving')]", "line 2: the video '../A.mp4' is not a path inside"),
            ("OK.mp4\t[('Fish', 'Moving')]", r"line 2: the clip 'OK' is twice in .*line 1"),
            ("TESTCLIP.mp4\t[('Fish', 'Moving')]", "in the splits 'train' and 'test'"),
        ],
    )
    def test_a_wrong_line_is_named(self, source, line, message):
        write_text_form(
            source,
            f"OK.mp4\t[('Fish', 'Moving')]\n{line}\n",
            label=ACTIONS,
            animal_label=["Fish"],
        )
        with pytest.raises(AnnotationError, match=message):
            read_animal_kingdom(source)

    @pytest.mark.skipif(not HEAD.is_dir(), reason="the heads of the published files are not here")
    def test_published_lines(self, source):
        published = (HEAD / "animal_kingdom_train_head.txt").read_text().splitlines()
        lines = list(dict.fromkeys(line for line in published if line.strip()))
        head = "\n".join(lines) + "\n"
        labels = (HEAD / "animal_kingdom_label.csv").read_text()
        write_text_form(source, head, test="TESTCLIP.mp4\t[('Fish', 'Eating')]\n")
        (source / "annotations" / "label.csv").write_text(labels)
        annotations = read_animal_kingdom(source)
        training = [clip for clip in annotations.clips if clip.split == "train"]
        assert len(training) == len(lines)
        assert len(annotations.action_names) == 140
        # Every pair opens with a parenthesis, and no name in these lines holds one.
        pairs = {(line.split("\t")[0], pair) for line in lines for pair in line.split("(")[1:]}
        assert sum(len(clip.performed) for clip in training) == len(pairs)
        assert {"Russell's Viper", "Portugese Man O'War"} <= set(annotations.animal_names)


class TestWorkbook:
    def test_rows_become_clips(self, source):
        write_workbook(
            source,
            [
                ("AAAA", "train", "3,1", "[('Fish', 'Moving'), ('fish', 'EATING')]", None),
                ("BBBB", "test", 0, """["[('Russell'S Viper', 'Attending')]"]""", None),
                ("CCCC", "train", 2, "[('Common Quail', 'Keeping Still')]", None),
                (None, None, None, None, None),
            ],
        )
        annotations = read_animal_kingdom(source)
        first, second, third = annotations.clips
        assert annotations.action_names == tuple(ACTIONS)
        assert annotations.animal_names == ("Common Quail Bird", "Fish", "Russell's Viper")
        assert first.actions == ("Moving", "Eating")
        assert first.animals == ("Fish",)
        assert first.performed == (("Fish", "Moving"), ("Fish", "Eating"))
        assert (second.split, second.animals) == ("test", ("Russell's Viper",))
        assert (third.actions, third.animals) == (("Keeping still",), ("Common Quail Bird",))

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (("A", "train", "9", "[('Fish', 'Moving')]"), "sheet AR, row 2: the action id 9"),
            (("A", "train", "3", "[('Fish', 'Flying')]"), "sheet AR, row 2: the action 'Flying'"),
            (("A", "dev", "3", "[('Fish', 'Moving')]"), "sheet AR, row 2: the type is 'dev'"),
            (("A", "train", "3", "Fish"), "sheet AR, row 2: expected pairs"),
        ],
    )
    def test_a_wrong_row_is_named(self, source, row, message):
        write_workbook(source, [(*row, None)])
        with pytest.raises(AnnotationError, match=message):
            read_animal_kingdom(source)

    def test_a_repeated_clip_is_refused(self, source):
        row = ("A", "train", "3", "[('Fish', 'Moving')]", None)
        write_workbook(source, [row, row])
        with pytest.raises(AnnotationError, match="row 3: the clip 'A' occurs again"):
            read_animal_kingdom(source)

    def test_a_missing_column_is_named(self, source):
        book = openpyxl.Workbook()
        book.active.title = "Action"
        book.active.append(["Number", "Action"])
        book.save(source / "AR_metadata.xlsx")
        with pytest.raises(AnnotationError, match="sheet Action: no column 'label'"):
            read_animal_kingdom(source)


class TestCharadesForm:
    HEADER = "original_vido_id video_id frame_id path labels\n"

    def write(self, source, train):
        (source / "annotations" / "train.csv").write_text(self.HEADER + train)
        (source / "annotations" / "val.csv").write_text(self.HEADER + "BBB 2 0 BBB/0.jpg 3\n")
        rows = "".join(f"{number},{name}\n" for number, name in enumerate(ACTIONS))
        (source / "annotations" / "label.csv").write_text("id,name\n" + rows)

    def test_frames_become_one_clip(self, source):
        self.write(source, 'AAA 1 0 AAA/0.jpg "1,3"\nAAA 1 1 AAA/1.jpg 1,3\nCCC 3 0 CCC/0.jpg 2\n')
        annotations = read_animal_kingdom(source)
        found = [(clip.path, clip.split, clip.actions) for clip in annotations.clips]
        assert found == [
            ("AAA.mp4", "train", ("Eating", "Moving")),
            ("CCC.mp4", "train", ("Keeping still",)),
            ("BBB.mp4", "test", ("Moving",)),
        ]
        assert annotations.animal_names == ()

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("AAA 1 0 AAA/0.jpg 7\n", "train.csv, line 2: the action id 7 is unknown"),
            ("AAA 1 0 AAA/0.jpg x\n", "train.csv, line 2: the action id 'x' is not a number"),
            ("AAA 1 0\n", "train.csv, line 2: expected `original_vido_id"),
            # The header again, run into a row: no video is called so.
            ("original_vido_id video_id A/1.jpg A 2\n", "train.csv, line 2: expected `original"),
        ],
    )
    def test_a_wrong_row_is_named(self, source, row, message):
        self.write(source, row)
        with pytest.raises(AnnotationError, match=message):
            read_animal_kingdom(source)


def test_a_folder_without_any_form_says_what_was_looked_for(source):
    with pytest.raises(FileNotFoundError, match=r"none of AR_.*train.csv.* is in .*annotations"):
        read_animal_kingdom(source)
