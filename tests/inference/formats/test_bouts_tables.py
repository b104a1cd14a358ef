"""The formats that are tables, read again with the standard library."""

import csv
import dataclasses
import pathlib

import made_results as made
import pytest

from animal_clip_jax.inference.formats import (
    boris_binary,
    boris_events,
    bouts,
    time_budget,
    zamba,
)
from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.results import Bout, write_results
from data_pipeline.annotations.boris import read_boris
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.read_options import ReadOptions

FOX, BEAR = made.ANIMALS
EATING, RUNNING, GROOMING = made.ACTIONS


def table(path, delimiter=","):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_bout_csv(results, out, options):
    (path,) = bouts.write(results, out, options)
    rows = table(path)
    assert list(rows[0]) == ["video", "subject", "behavior", "start", "stop", "duration", "score"]
    assert [tuple(row.values()) for row in rows] == [
        (made.WITH_BOUTS.name, FOX, EATING, "1.000", "5.000", "4.000", "0.6667"),
        (made.WITH_BOUTS.name, BEAR, RUNNING, "2.250", "6.500", "4.250", "0.9000"),
        (made.WITH_BOUTS.name, FOX, EATING, "10.000", "12.000", "2.000", "0.7000"),
        (made.TO_ITS_MIDDLE.name, "", GROOMING, "0.500", "8.000", "7.500", "0.6000"),
        (made.WHOLE.name, BEAR, RUNNING, "0.000", "4.000", "4.000", "0.7000"),
    ]


def test_a_corrected_bout_csv_comes_back_as_clips(results, out, options):
    (path,) = bouts.write(results, out, options)
    rows = table(path)
    # A person corrects an action and a time, adds a bout, and leaves one out.
    rows[0] |= {"behavior": GROOMING, "stop": "4.5"}
    added = dict.fromkeys(rows[0], "") | {"video": "new.mp4", "behavior": EATING, "start": "0:07"}
    rows = [*rows[:-1], added | {"stop": "0:09.5"}]
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    read = read_annotations("csv", path)
    assert not any("not used" in note for note in read.notes)
    assert [(c.path, c.animals, c.actions, c.start, c.stop) for c in read.clips] == [
        (made.WITH_BOUTS.name, (FOX,), (GROOMING,), 1.0, 4.5),
        (made.WITH_BOUTS.name, (BEAR,), (RUNNING,), 2.25, 6.5),
        (made.WITH_BOUTS.name, (FOX,), (EATING,), 10.0, 12.0),
        (made.TO_ITS_MIDDLE.name, (), (GROOMING,), 0.5, 8.0),
        ("new.mp4", (), (EATING,), 7.0, 9.5),
    ]


def test_aggregated_events_have_the_columns_of_boris_in_its_order(results, out, options):
    (path,) = boris_events.write(results, out, options)
    assert path.read_text().splitlines()[0].split("\t") == [
        "Observation id", "Observation date", "Description", "Observation type", "Source",
        "Time offset (s)", "Coding duration", "Media duration (s)", "FPS (frame/s)", "Subject",
        "Observation duration by subject by observation", "Behavior", "Behavioral category",
        "Behavior type", "Start (s)", "Stop (s)", "Duration (s)", "Media file name",
        "Image index start", "Image index stop", "Image file path start", "Image file path stop",
        "Comment start", "Comment stop",
    ]  # fmt: skip
    rows = table(path, "\t")
    assert [float(row["Start (s)"]) for row in rows] == [1.0, 2.25, 10.0, 0.5, 0.0]
    first = rows[0]
    assert first["Observation date"] == "2026-11-24 10:00:00"
    assert first["Source"] == f"player #1:{made.WITH_BOUTS.path}"
    assert first["Observation duration by subject by observation"] == "6.000"
    assert (first["Media duration (s)"], first["FPS (frame/s)"]) == ("60.000", "25.000")
    assert (first["Behavior type"], first["Behavioral category"]) == ("STATE", "Not defined")
    assert rows[1]["Behavior"] == "Running; fast [trot]"
    assert rows[3]["Subject"] == "No focal subject"


def test_aggregated_events_are_read_by_the_conversion_of_the_training(results, out, options):
    (path,) = boris_events.write(results, out, options)
    for video in made.VIDEOS:
        place = pathlib.Path(out) / "videos" / video.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    found = read_boris(pathlib.Path(path), ReadOptions(roots=(pathlib.Path(out) / "videos",)))
    assert sorted((clip.start, clip.stop) for clip in found.clips) == [
        (0.0, 4.0), (0.5, 8.0), (1.0, 5.0), (2.25, 6.5), (10.0, 12.0),
    ]  # fmt: skip


def test_binary_table_has_a_row_for_each_step_before_the_end(results, out, options):
    paths = boris_binary.write(results, out, options)
    names = {str(path.relative_to(out / "boris_binary")) for path in paths}
    assert names == {
        "camera 1/füchse, nachts & <dusk>.csv", 'b "quoted".csv', "c.csv", "e/blank.csv", "f.csv",
    }  # fmt: skip
    assert all(path.is_file() for path in paths)
    rows = table(paths[0])
    assert [row["time"] for row in rows] == [f"{number / 10:.3f}" for number in range(600)]
    assert list(rows[0])[1:] == ["Eating", "Running; fast [trot]", "Grooming & <licking> / -"]
    # Every step is checked by itself against the bouts as they were given.
    for row in rows:
        time = float(row["time"])
        for label, column in zip(made.ACTIONS, list(row)[1:], strict=True):
            shown = any(
                bout.action == label and bout.start - 1e-9 <= time < bout.stop - 1e-9
                for bout in made.WITH_BOUTS.bouts
            )
            assert row[column] == str(int(shown)), (time, label)


def test_binary_table_at_times_that_no_float_can_hold(tmp_path, out):
    # 0.14 / 0.02 is more than 7 in floats.
    video = dataclasses.replace(made.WITH_BOUTS, bouts=(Bout(0.14, 0.28, EATING, FOX, 0.9),))
    results = write_results(tmp_path / "r.jsonl", made.HEADER, [video])
    (path,) = boris_binary.write(results, out, FormatOptions(binary_step=0.02))
    shown = [row["time"] for row in table(path) if row["Eating"] == "1"]
    assert shown == ["0.140", "0.160", "0.180", "0.200", "0.220", "0.240", "0.260"]


def test_binary_table_shows_what_any_animal_does(tmp_path, out):
    video = dataclasses.replace(
        made.WITH_BOUTS,
        bouts=(Bout(0.0, 2.0, EATING, FOX, 0.9), Bout(1.0, 3.0, EATING, BEAR, 0.9)),
    )
    results = write_results(tmp_path / "r.jsonl", made.HEADER, [video])
    (path,) = boris_binary.write(results, out, FormatOptions(binary_step=0.5))
    assert [row["Eating"] for row in table(path)][:8] == list("11111100")


def test_zamba_has_a_row_for_each_video_with_an_answer(results, out, options):
    (path,) = zamba.write(results, out, options)
    rows = {row.pop("filepath"): row for row in table(path)}
    assert made.FAILED.name not in rows and len(rows) == 5
    assert {name: float(value) for name, value in rows["c.mp4"].items()} == pytest.approx(
        {EATING: 0.1, RUNNING: 0.7, GROOMING: 0.2, "blank": 0}
    )
    assert list(rows["e/blank.mov"].values()) == ["0", "0", "0", "1"]


def test_zamba_has_a_column_of_blanks_only_where_there_is_one(tmp_path, out, options):
    results = write_results(tmp_path / "r.jsonl", made.HEADER, [made.WHOLE])
    (path,) = zamba.write(results, out, options)
    assert list(table(path)[0]) == ["filepath", *made.ACTIONS]


def test_time_budget_of_each_bin(results, out, options):
    path, _ = time_budget.write(results, out, dataclasses.replace(options, time_bin=4.0))
    rows = table(path)
    first = [
        (row["bin_start"], row["subject"], row["behavior"], row["seconds"], row["share"])
        for row in rows
        if row["video"] == made.WITH_BOUTS.name
    ]
    assert first[:8] == [
        ("0.000", FOX, EATING, "3.000", "0.7500"),
        ("0.000", BEAR, RUNNING, "1.750", "0.4375"),
        ("0.000", "", "(none)", "1.000", "0.2500"),
        ("4.000", FOX, EATING, "1.000", "0.2500"),
        ("4.000", BEAR, RUNNING, "2.500", "0.6250"),
        ("4.000", "", "(none)", "1.500", "0.3750"),
        ("8.000", FOX, EATING, "2.000", "0.5000"),
        ("8.000", "", "(none)", "2.000", "0.5000"),
    ]
    blank = [row for row in rows if row["video"] == made.BLANK.name]
    assert [(row["behavior"], row["bin_stop"], row["seconds"]) for row in blank] == [
        ("(blank)", "4.000", "4.000"), ("(blank)", "8.000", "4.000"), ("(blank)", "10.000", "2.000")
    ]  # fmt: skip


@pytest.mark.parametrize("time_bin", [0.0, 0.7, 4.0, 1000.0])
def test_the_total_does_not_depend_on_the_bins(results, out, options, time_bin):
    path, total_path = time_budget.write(
        results, out, dataclasses.replace(options, time_bin=time_bin)
    )
    totals = {(row["subject"], row["behavior"]): row for row in table(total_path)}
    # 88 s of five videos.
    assert totals[FOX, EATING] == {
        "subject": FOX, "behavior": EATING, "bouts": "2", "seconds": "6.000",
        "share": f"{6 / 88:.4f}", "mean_bout_seconds": "3.000",
    }  # fmt: skip
    assert totals[BEAR, RUNNING]["seconds"] == "8.250"
    assert totals["", "(blank)"]["seconds"] == "10.000"
    assert sum(float(row["seconds"]) for row in table(path)) == pytest.approx(
        sum(float(row["seconds"]) for row in totals.values()), abs=0.1
    )
