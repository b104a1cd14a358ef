"""Aggregated events of BORIS, in the columns that it writes them in."""

import csv
import io

import pytest

from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.read_options import ReadOptions
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.conversion.find_videos import find_videos

# As version 9.12 writes them, with one independent variable and one modifier.
COLUMNS = [
    *("Observation id", "Observation date", "Description", "Observation type", "Source"),
    *("Time offset (s)", "Coding duration", "Media duration (s)", "FPS (frame/s)", "weather"),
    *("Subject", "Observation duration by subject by observation", "Behavior"),
    *("Behavioral category", "Modifier #1", "Behavior type", "Start (s)", "Stop (s)"),
    *("Duration (s)", "Media file name", "Image index start", "Image index stop"),
    *("Image file path start", "Image file path stop", "Comment start", "Comment stop"),
]
EVENT = {
    "Observation id": "morning",
    "Observation date": "2026-05-01 06:30:00",
    "Observation type": "Media file",
    "Source": "player #1:D:\\field\\cam 1\\fox.mp4",
    "Time offset (s)": "0.0",
    "Media duration (s)": "60.000",
    "FPS (frame/s)": "25.000",
    "weather": "dry, cold",
    "Subject": "Kira",
    "Behavior": "Sniffing",
    "Behavioral category": "Not defined",
    "Behavior type": "STATE",
    "Start (s)": "1.500",
    "Stop (s)": "4.250",
    "Media file name": "D:\\field\\cam 1\\fox.mp4",
}


def table(*events, delimiter="\t", without=()):
    columns = [name for name in COLUMNS if name not in without]
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, columns, delimiter=delimiter, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(EVENT | event for event in events)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    for name in ("cam 1/fox.mp4", "cam 2/fox.mp4", "cam 2/owl.mp4", "elsewhere/fox.mp4"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).write_text(name)
    return tmp_path


def read(folder, *events, name="events.tsv", delimiter="\t", without=(), **options):
    (folder / name).write_text(table(*events, delimiter=delimiter, without=without))
    return read_annotations("boris", folder / name, options=ReadOptions(**options))


@pytest.mark.parametrize(("name", "delimiter"), [("e.tsv", "\t"), ("e.csv", ","), ("e.csv", ";")])
def test_a_state_event_is_a_clip(folder, name, delimiter):
    annotations = read(
        folder,
        {},
        {"Behavior": "Resting", "Subject": "No focal subject", "Start (s)": "3.000"},
        name=name,
        delimiter=delimiter,
    )
    first, second = annotations.clips
    assert (first.path, first.start, first.stop) == ("cam 1/fox.mp4", 1.5, 4.25)
    assert (first.actions, first.animals, first.individual) == (("Sniffing",), (), "Kira")
    assert (second.actions, second.start, second.individual) == (("Resting",), 3.0, "")
    files, _ = find_videos(annotations)
    assert files[first.clip_id].read_text() == "cam 1/fox.mp4"


def test_what_is_left_out_is_counted(folder):
    annotations = read(
        folder,
        {"Modifier #1": "left"},
        {"Behavior type": "POINT", "Stop (s)": "1.500"},
        {"Behavior type": "POINT", "Stop (s)": "1.500", "Behavior": "Calling"},
        {"Behavior": "Resting", "Start (s)": "9.000", "Stop (s)": "9.000"},
        {"Observation type": "Live observation", "Source": "NA", "Media duration (s)": "NA"},
    )
    assert len(annotations.clips) == 1 and annotations.action_names == ("Sniffing",)
    notes = "\n".join(annotations.notes)
    assert "2 point events left out" in notes and "1 events have modifiers" in notes
    assert "1 state events left out" in notes and "1 events left out: observed live" in notes


def test_subjects_at_the_same_time_are_one_clip_and_the_same_twice_is_one(folder):
    annotations = read(
        folder,
        {},
        {"Subject": "Bo", "Behavior": "Running"},
        {"Observation id": "the same, by another person"},
        animal="Red Fox",
    )
    (clip,) = annotations.clips
    assert (clip.actions, clip.individual) == (("Sniffing", "Running"), "Kira; Bo")
    assert clip.animals == ("Red Fox",) and annotations.multi_label


def test_times_count_on_through_videos_that_were_played_one_after_the_other(folder):
    several = {
        "Source": "player #1:/data/cam 1/fox.mp4;/data/cam 2/owl.mp4|player #2:/data/x.mp4",
        "Media duration (s)": "60.000;30.000|90.000",
    }
    annotations = read(
        folder,
        several | {"Start (s)": "10.000", "Stop (s)": "20.000"},
        several | {"Start (s)": "62.250", "Stop (s)": "70.000"},
        several | {"Start (s)": "58.000", "Stop (s)": "61.000"},
        several | {"Start (s)": "50.000", "Stop (s)": "60.040", "Behavior": "Resting"},
    )
    assert [(clip.path, clip.start, clip.stop) for clip in annotations.clips] == [
        ("cam 1/fox.mp4", 10.0, 20.0),
        ("cam 2/owl.mp4", 2.25, 10.0),
        ("cam 1/fox.mp4", 58.0, 60.0),
        ("cam 2/owl.mp4", 0.0, 1.0),
        ("cam 1/fox.mp4", 50.0, 60.0),
    ]


def test_older_exports_name_the_video_in_another_column(folder):
    (clip,) = read(folder, {}, without=("Source", "Time offset (s)", "Observation type")).clips
    assert clip.path == "cam 1/fox.mp4"


def test_several_exports_in_a_folder_and_videos_on_another_disk(folder):
    (folder / "exports").mkdir()
    for name, video in (("a.tsv", "owl.mp4"), ("b.csv", "cam 2/fox.mp4")):
        delimiter = "\t" if name == "a.tsv" else ","
        text = table({"Source": f"player #1:{video}"}, delimiter=delimiter)
        (folder / "exports" / name).write_text(text)
    annotations = read_annotations(
        "boris", folder / "exports", options=ReadOptions(roots=(folder / "videos",))
    )
    assert [clip.path for clip in annotations.clips] == ["cam 2/owl.mp4", "cam 2/fox.mp4"]
    assert annotations.roots == (folder / "videos",)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"Source": "player #1:fox.mp4"}, r"line 2: the video 'fox.mp4' may be any of 3 files: "),
        ({"Source": "player #1:/x/fox.mp4"}, r"any of 3 files: .*cam 1/fox.mp4, .*cam 2/fox.mp4, "),
        ({"Behavior type": "STOP"}, "line 2: the behavior type is 'STOP'; expected STATE or POINT"),
        ({"Start (s)": "NA"}, r"line 2: the Start \(s\) is 'NA'; expected seconds"),
        ({"Start (s)": "9.000"}, "line 2: the bout is from 9.0 to 4.25 s"),
        ({"Time offset (s)": "30.0"}, "line 2: .*time offset of '30.0' s.*set it to 0 in BORIS"),
        ({"Source": ""}, "line 2: no video is named"),
        ({"Source": "player #1:a.mp4;b.mp4"}, "line 2: 2 videos were played one after the other"),
        ({"Behavior type": "POINT"}, "no state event of a video .1 point events left out"),
        (
            {"Behavior type": "POINT", "Start (s)": "13.0055.250"},  # of two lines that became one
            r"line 2: the Start \(s\) is '13.0055.250'; expected seconds",
        ),
        ({"Behavior": ""}, "line 2: the name of the action is empty"),
    ],
)
def test_what_cannot_be_used_is_said(folder, event, message):
    with pytest.raises(AnnotationError, match=message):
        read(folder, event)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Aggregated events, as TSV"),
        ("Time\tBehavior\tStatus\n", "line 1: no column 'Behavior type' .*Aggregated events"),
        ("video,actions\na.mp4,Run\n", "line 1: no column 'Behavior' as in the aggregated events"),
    ],
)
def test_another_file_says_what_to_export(folder, text, message):
    (folder / "events.tsv").write_text(text)
    with pytest.raises(AnnotationError, match=message):
        read_annotations("boris", folder / "events.tsv")


def test_a_source_that_is_not_there(folder):
    with pytest.raises(FileNotFoundError, match=f"{folder}/x.tsv does not exist; .* holds videos"):
        read_annotations("boris", folder / "x.tsv")
    with pytest.raises(AnnotationError, match=f"no .tsv, .csv, .boris file: {folder} holds videos"):
        read_annotations("boris", folder)
