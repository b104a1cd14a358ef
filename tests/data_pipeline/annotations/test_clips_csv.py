"""Anyone's own footage: `video,animals,actions`, and labels in a pinned order."""

import csv
import datetime
import decimal
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.read_options import ReadOptions
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.annotations.times import seconds
from data_pipeline.conversion.find_videos import find_videos

ROWS = (
    "video,animals,actions,split\n"
    'camera 3/0412.mp4,Red Fox;Badger,"Sniffing; Running",train\n'
    "0413.mov,,Resting,test\n"
)


def test_rows_become_clips(tmp_path):
    (tmp_path / "clips.csv").write_text("\ufeff" + ROWS, encoding="utf-8")
    annotations = read_annotations("csv", tmp_path)
    first, second = annotations.clips
    assert (first.clip_id, first.animals) == ("camera 3/0412", ("Red Fox", "Badger"))
    assert first.actions == ("Sniffing", "Running")
    assert set(first.performed) == {(a, b) for a in first.animals for b in first.actions}
    assert (second.animals, second.actions, second.split) == ((), ("Resting",), "test")
    assert annotations.action_names == ("Resting", "Running", "Sniffing")
    assert annotations.multi_label
    assert annotations.roots == (tmp_path,)


def test_there_may_be_further_tests(tmp_path):
    rows = "video,actions,split\na.mp4,Running,train\nb.mp4,Running,test_night\n"
    (tmp_path / "clips.csv").write_text(rows)
    clips = read_annotations("csv", tmp_path).clips
    assert [clip.split for clip in clips] == ["train", "test_night"]


def test_a_file_may_be_given_and_videos_may_have_their_folder(tmp_path):
    (tmp_path / "videos").mkdir()
    path = tmp_path / "june.csv"
    path.write_text("video,animals,actions\na.mp4,Fox,Running\n")
    annotations = read_annotations("csv", path)
    assert annotations.roots == (tmp_path / "videos",)
    assert annotations.clips[0].split == "train"
    assert not annotations.multi_label


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recording,animals,actions\n", "line 1: no column 'video'; expected video,actions and"),
        ("Clip,animals,actions\n", "line 1: no column 'video'; if 'Clip' is it, write 'video'"),
        ("video,behaviour\n", "line 1: no column 'actions'; if 'behaviour' is it, write"),
        ("video,actions,Spilt\n", "line 1: the column 'Spilt' is written 'split'"),
        ("video,actions,fold\na.mp4,R,Training\n", "the column 'fold' is written 'split'"),
        ("video,actions,species\n", "line 1: the column 'species' is written 'animals'"),
        ("video,actions,begin,end\n", "line 1: the column 'begin' is written 'start'"),
        ("video,actions,start,Stop Time\n", "line 1: the column 'Stop Time' is written 'stop'"),
        ("video,actions,start_frame\n", "'start_frame' is written 'start', .* seconds, not frames"),
        ("video,actions,Subject\n", "line 1: the column 'Subject' is written 'individual'"),
        ("video,actions,Video\n", "line 1: two columns 'video'"),
        ("video;animals,actions\tsplit\n", "line 1: .* commas and semicolons and tabs; use one"),
        ("video,actions\na.mp4;Running\n", "line 2: found 1 cells, expected 2.* semicolons in it"),
        ("video,actions\nb\\a.mp4,R\n", r"line 2: .* is written with \\; write / between"),
        ("video,actions\n../a.mp4,R\n", "line 2: .* is not a path inside the folder of videos"),
        ("video,actions\n/elsewhere/a.mp4,R\n", "line 2: .*lies outside .*add --root=/elsewhere$"),
        ("video,actions,start,stop\na.mp4,R,1,\n", "line 2: there is a start and no stop"),
        ("video,actions,start,stop\na.mp4,R,,1\n", "line 2: there is a stop and no start"),
        ("video,actions,start,stop\na.mp4,R,5,3\n", "line 2: the bout is from 5.0 to 3.0 s"),
        ("video,actions,start,stop\na.mp4,R,5,5\n", "line 2: the bout is from 5.0 to 5.0 s"),
        ("video,actions,start,stop\na.mp4,R,-1,5\n", "line 2: the start is '-1'; expected seconds"),
        ("video,actions,start,stop\na.mp4,R,0,1:60\n", "line 2: the stop is '1:60'"),
        ("video,actions,start,stop\na.mp4,R,0,1:60:00\n", "line 2: the stop is '1:60:00'"),
        ("video,actions,start,stop\na.mp4,R,0,inf\n", "line 2: the stop is 'inf'"),
        ('video,actions,start,stop\na.mp4,R,"0,5",2\n', "line 2: .* write a point for the comma"),
        (
            "video,actions,start,stop\na.mp4,R,0,1\na.mp4,R,,\n",
            "line 3: the video 'a.mp4' is listed both as a whole and in bouts .before: .*line 2",
        ),
        (
            "video,actions,start,stop\na.mp4,R,0,1\na.mp4,S,2,3\na.mp4,R,0.0,0:01\n",
            "line 4: the clip 'a.mp4' is listed twice, with the same labels .before: .*line 2",
        ),
        (
            "video,actions,split\na.mp4,R,train\na.mp4,S,test\n",
            "line 3: the clip 'a.mp4' is in the splits 'train' and 'test' .before: .*line 2",
        ),
        ("video,animals,actions\na.mp4,Fox\n", "line 2: found . cells, expected 3"),
        ("video,animals,actions\na.mp4,Fox,Running,Resting\n", "line 2: found . cells, expected 3"),
        ("video,animals,actions\na.mp4,Fox,\n", "line 2: the clip 'a' has no action"),
        ("video,animals,actions\n,Fox,Running\n", "line 2: the video '' is not a path"),
        ("video,animals,actions,split\na.mp4,Fox,Running,dev\n", "line 2: the split is 'dev'"),
        ("video,actions,split\na.mp4,Running,test-night\n", "line 2: the split is 'test-night'"),
        ("video,actions,split\na.mp4,Running,test_a+b\n", "line 2: the split is 'test_a.b'"),
        ("video,animals,actions\na.mp4,F,R\na.avi,F,R\n", "line 3: the clip 'a' is twice"),
        ("video,animals,actions\n", "clips.csv lists no clip"),
        (
            'video,animals,actions\na.mp4,F,"Two\nlines"\n',
            r"line 3: .*'Two.+lines' has a line break",
        ),
        (
            f"video,animals,actions\na.mp4,F,{'R' * 200_000}\n",
            "clips.csv, line 2: 200008 characters",
        ),
    ],
)
def test_a_wrong_row_is_named(tmp_path, text, message):
    (tmp_path / "clips.csv").write_text(text)
    with pytest.raises(AnnotationError, match=message):
        read_annotations("csv", tmp_path)


def test_a_label_file_pins_the_order(tmp_path):
    (tmp_path / "clips.csv").write_text(ROWS)
    labels = tmp_path / "actions.csv"
    labels.write_text("id,name\n2,Resting\n0,Sniffing\n1,Running\n3,Digging\n")
    annotations = read_annotations("csv", tmp_path, action_labels=labels)
    assert annotations.action_names == ("Sniffing", "Running", "Resting", "Digging")
    assert annotations.animal_names == ("Badger", "Red Fox")


def test_a_label_file_that_differs_in_case_pins_the_case(tmp_path):
    (tmp_path / "clips.csv").write_text("video,animals,actions\na.mp4,red fox,Sniffing;sniffing\n")
    actions, animals = tmp_path / "actions.csv", tmp_path / "animals.csv"
    actions.write_text("id,name\n0,Running\n1,sniffing\n")
    animals.write_text("id,name\n0,Red Fox\n")
    annotations = read_annotations("csv", tmp_path, action_labels=actions, animal_labels=animals)
    (clip,) = annotations.clips
    assert (clip.actions, clip.animals) == (("sniffing",), ("Red Fox",))
    assert clip.performed == (("Red Fox", "sniffing"),)


def test_a_label_that_the_pinned_order_lacks_is_named(tmp_path):
    (tmp_path / "clips.csv").write_text(ROWS)
    labels = tmp_path / "animals.csv"
    labels.write_text("id,name\n0,Red Fox\n")
    with pytest.raises(AnnotationError, match="line 2: the animal 'Badger' is not among the 1"):
        read_annotations("csv", tmp_path, animal_labels=labels)


def test_an_unknown_dataset_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'kinetics' is not one of animal_kingdom"):
        read_annotations("kinetics", tmp_path)


def read(folder, text, **options):
    """What a list says, and where it looked."""
    (folder / "clips.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_annotations("csv", folder, options=ReadOptions(**options))


def written(rows, delimiter, **options):
    """A table as the standard library writes it."""
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, **options).writerows(rows)
    return file.getvalue()


BOUTS = [
    ["Video", " START ", "Stop", "Actions", "Animals", "Individual"],
    ["long.mp4", "1.5", "0:12.25", "Sniffing", "Red Fox", "Kira"],
    ["long.mp4", "0:12.25", "1:00:01", "Running", "Red Fox", ""],
    ["other.mp4", "0", "3", "Running", "", ""],
]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_bouts_in_any_of_the_forms_of_a_table(tmp_path, delimiter, mark, quoting):
    annotations = read(tmp_path, mark + written(BOUTS, delimiter, quoting=quoting))
    first, second, third = annotations.clips
    assert (first.path, first.start, first.stop) == ("long.mp4", 1.5, 12.25)
    assert (first.clip_id, first.individual) == ("long@1.5-12.25", "Kira")
    assert (second.start, second.stop, second.individual) == (12.25, 3601.0, "")
    assert first.performed == (("Red Fox", "Sniffing"),)
    assert third.animals == () and third.split == "train"
    assert not annotations.multi_label


def test_a_decimal_comma_where_commas_do_not_separate(tmp_path):
    text = "video;actions;start;stop\na.mp4;R;12,5;1:02,25\n"
    (clip,) = read(tmp_path, text).clips
    assert (clip.start, clip.stop) == (12.5, 62.25)


@pytest.mark.parametrize("cell", ["Running,Resting", "Running, Resting", '"Running;Resting"'])
def test_several_names_where_semicolons_separate_columns(tmp_path, cell):
    (clip,) = read(tmp_path, f"video;actions\na.mp4;{cell}\n").clips
    assert clip.actions == ("Running", "Resting")


def test_a_comma_in_a_name_is_pointed_out(tmp_path):
    annotations = read(tmp_path, 'video,actions\na.mp4,"Running, Resting"\n')
    assert annotations.action_names == ("Running, Resting",)
    assert any(
        "separated by ;" in note and "Running, Resting" in note for note in annotations.notes
    )


def test_rows_of_one_bout_are_one_clip_in_which_each_animal_does_its_own(tmp_path):
    text = (
        "video,start,stop,animals,actions,individual\n"
        "a.mp4,0,5,Macaque,Grooming,Ana\n"
        "a.mp4,0,5,Boar,Feeding,\n"
        "a.mp4,2,5,Boar,Feeding,Bo\n"
        "a.mp4,0,5,Macaque,Feeding,Bea;Ana\n"
    )
    annotations = read(tmp_path, text)
    first, second = annotations.clips
    assert set(first.performed) == {
        ("Macaque", "Grooming"),
        ("Boar", "Feeding"),
        ("Macaque", "Feeding"),
    }
    assert (first.actions, first.animals) == (("Grooming", "Feeding"), ("Macaque", "Boar"))
    assert first.individual == "Ana; Bea" and second.individual == "Bo"
    assert annotations.multi_label
    assert any("1 clip is listed in several rows" in note for note in annotations.notes)


def test_columns_that_are_not_used_are_named_and_blank_rows_passed_over(tmp_path):
    text = "video,actions,Weather,status,\na.mp4,Run,wet,ok,\n,,,,\n\n"
    annotations = read(tmp_path, text)
    assert len(annotations.clips) == 1
    (note,) = [note for note in annotations.notes if "not used" in note]
    assert "'Weather', 'status'" in note


def test_the_note_says_which_loss_follows(tmp_path):
    one = read(tmp_path, "video,actions,split\na.mp4,R,train\nb.mp4,S,test\n").notes
    assert any("each clip has one action" in note for note in one)
    assert not any("test_share" in note for note in one)
    several = read(tmp_path, "video,actions\na.mp4,R;S\nb.mp4,S\n").notes
    assert any("1 of 2 clips have several actions" in note for note in several)
    assert any("--test_share=0.2" in note for note in several)


class TestWhereVideosAre:
    @pytest.fixture
    def folder(self, tmp_path):
        for name in ("own/videos/a.mp4", "own/b.mp4", "disk/night/c.mp4", "disk/d.mp4"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name)
        return tmp_path / "own"

    def found(self, folder, *videos, roots=()):
        rows = "".join(f"{video},Running\n" for video in videos)
        annotations = read(folder, "video,actions\n" + rows, roots=roots)
        files, _ = find_videos(annotations)
        return [files[clip.clip_id].read_text() for clip in annotations.clips], annotations

    @pytest.mark.parametrize(
        "written", ["a.mp4", "videos/a.mp4", "./videos/a.mp4", "{}/videos/a.mp4"]
    )
    def test_a_path_may_be_relative_to_the_list_or_to_videos_or_absolute(self, folder, written):
        files, annotations = self.found(folder, written.format(folder))
        assert files == ["own/videos/a.mp4"] and annotations.clips[0].path == "a.mp4"

    def test_and_both_at_once_and_on_other_disks(self, folder):
        disk = folder.parent / "disk"
        files, annotations = self.found(
            folder, "a.mp4", "b.mp4", "night/c.mp4", f"{disk}/d.mp4", roots=(disk,)
        )
        assert files == ["own/videos/a.mp4", "own/b.mp4", "disk/night/c.mp4", "disk/d.mp4"]
        assert annotations.roots == (folder / "videos", folder, disk)
        assert annotations.clips[3].path == "d.mp4"

    def test_two_videos_of_one_name_are_both_named(self, folder):
        (folder / "videos" / "b.mp4").write_text("another")
        with pytest.raises(AnnotationError, match=r"two videos .*own/videos/b.mp4 and .*own/b.mp4"):
            self.found(folder, "b.mp4")
        # Of which one is meant when more is said.
        assert self.found(folder, "videos/b.mp4")[0] == ["another"]
        disk = folder.parent / "disk"
        (disk / "b.mp4").write_text("a third")
        with pytest.raises(AnnotationError, match=r"line 2: two videos .*own.* and .*disk/b.mp4"):
            self.found(folder, f"{disk}/b.mp4", roots=(disk,))

    def test_links_to_one_video_are_one(self, folder):
        (folder / "b.mp4").unlink()
        (folder / "b.mp4").symlink_to(folder / "videos" / "a.mp4")
        (folder / "videos" / "b.mp4").symlink_to("a.mp4")
        assert self.found(folder, "b.mp4")[0] == ["own/videos/a.mp4"]

    def test_a_video_that_is_nowhere_is_looked_for_where_its_folder_is(self, folder):
        (folder / "night").mkdir()
        _, annotations = (None, read(folder, "video,actions\nnight/x.mp4,R\nvideos/y.mp4,S\n"))
        files, _ = find_videos(annotations)
        assert set(files.values()) == {folder / "night" / "x.mp4", folder / "videos" / "y.mp4"}

    def test_a_wrong_source_says_where_it_looked_and_what_is_there(self, folder, monkeypatch):
        monkeypatch.chdir(folder.parent)
        with pytest.raises(FileNotFoundError, match=f"{folder}/clip.csv does not exist; .*b.mp4"):
            read_annotations("csv", "own/clip.csv")
        with pytest.raises(FileNotFoundError, match=f"{folder}/clips.csv .*holds b.mp4, videos"):
            read_annotations("csv", "own")
        with pytest.raises(FileNotFoundError, match=f"{folder.parent} holds disk, own"):
            read_annotations("csv", "nowhere/at/all")
        with pytest.raises(FileNotFoundError, match=r"--root: the folder .*/disc does not exist"):
            read(folder, "video,actions\na.mp4,R\n", roots=(folder.parent / "disc",))


def test_an_animal_for_all_clips(tmp_path):
    (clip,) = read(tmp_path, "video,actions\na.mp4,Run\n", animal="Red Fox").clips
    assert clip.performed == (("Red Fox", "Run"),)
    with pytest.raises(AnnotationError, match="a column 'animals'; leave --animal=Red Fox out"):
        read(tmp_path, "video,actions,animals\na.mp4,Run,\n", animal="Red Fox")


@given(st.integers(0, 35_999_999))
def test_a_time_is_the_same_in_every_form(milliseconds):
    expected = pytest.approx(milliseconds / 1000)
    clock = datetime.timedelta(milliseconds=milliseconds)
    minutes, rest = divmod(milliseconds, 60_000)
    for text in (
        str(decimal.Decimal(milliseconds) / 1000),
        str(clock),
        f"{minutes}:{rest // 1000:02}.{rest % 1000:03}",
    ):
        assert seconds(text, "here", "start") == expected


def test_a_note_for_excel_is_said(tmp_path):
    (tmp_path / "clips.csv").write_text("sep=;\nvideo;actions\na.mp4;Run\n")
    with pytest.raises(AnnotationError, match="line 1: 'sep=;' is a note for Excel; remove"):
        read_annotations("csv", tmp_path)
