"""Several formats at once: all is checked before anything is written."""

import csv
import dataclasses
import json
import os
import shutil

import made_results as made
import pytest
from etils import epath

from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.table import FORMATS, left_out, write_formats
from animal_clip_jax.inference.results import Results, write_results


def renamed(video, name):
    return dataclasses.replace(video, name=name, path=f"/data/{name}")


def refusal(results, names, out, options):
    with pytest.raises(UserError) as error:
        write_formats(results, names, out, options)
    assert list(out.iterdir()) == [], "something was written"
    assert "\n" not in str(error.value)
    return str(error.value)


def test_all_formats_twice(results, out, options):
    first = write_formats(results, FORMATS, out, options)
    assert list(first) == list(FORMATS)
    content = {path: path.read_bytes() for paths in first.values() for path in paths}
    assert all(content.values())
    assert write_formats(results, FORMATS, out, options) == first
    assert content == {path: path.read_bytes() for path in content}
    # Nothing else is left.
    found = {os.path.join(place, name) for place, _, names in os.walk(out) for name in names}
    assert found == {os.fspath(path) for path in content}


def test_of_no_videos(tmp_path, out, options):
    results = write_results(tmp_path / "none.jsonl", made.HEADER, [])
    write_formats(results, FORMATS, out, options)
    assert (out / "bouts.csv").read_text() == "video,subject,behavior,start,stop,duration,score\n"


def test_of_videos_that_all_failed(tmp_path, out, options):
    results = write_results(tmp_path / "none.jsonl", made.HEADER, [made.FAILED])
    written = write_formats(results, FORMATS, out, options)
    assert written["webvtt"] == [] and (out / "webvtt").is_dir()


def test_a_video_without_a_length_or_rate_ends_no_format(tmp_path, out, options):
    unknown = dataclasses.replace(made.WHOLE, media=None)
    still = dataclasses.replace(made.WHOLE, name="f.mp4", media=made.Media(0.0, 0.0, 1, 2, 2))
    results = write_results(tmp_path / "r.jsonl", made.HEADER, [unknown, still])
    write_formats(results, FORMATS, out, options)


def test_an_unknown_name_offers_the_nearest(results, out, options):
    message = refusal(results, ["bouts", "camtrap-dp"], out, options)
    assert message.startswith("there is no format 'camtrap-dp'; did you mean camtrap_dp?")


def test_all_problems_are_told_at_once(results, out):
    options = FormatOptions(binary_step=0.0, time_bin=-1, top_k=0, sampling_design="random")
    message = refusal(results, ["borris", "camtrap_dp"], out, options)
    for part in (
        "6 problems", "did you mean boris?", "binary step is 0.0", "time bin is -1", "top_k is 0",
        "camtrap_dp needs --deployments=CSV", "sampling design is 'random'",
    ):  # fmt: skip
        assert part in message


def test_a_table_of_deployments_that_lacks_a_video(results, out, options, deployments):
    deployments.write_text(
        made.DEPLOYMENTS.replace("c.mp4", "g.mp4").replace("/blank.mov", "/e.mov"), encoding="utf-8"
    )
    assert left_out(results, ["bouts", "camtrap_dp"], options) == [
        (name, f"not in camtrap_dp: {deployments} has no row for it")
        for name in ("c.mp4", "e/blank.mov")
    ]
    assert left_out(results, ["bouts"], options) == []
    write_formats(results, ["camtrap_dp"], out, options)
    with (out / "camtrap_dp" / "media.csv").open() as file:
        listed = {row["mediaID"] for row in csv.DictReader(file)}
    names = {video.name for video in made.VIDEOS}
    assert listed == names - {"c.mp4", "e/blank.mov"} and len(names) == 6


def test_a_table_of_deployments_of_other_videos(tmp_path, out, options):
    results = write_results(tmp_path / "r.jsonl", made.HEADER, [renamed(made.WHOLE, "z.mp4")])
    message = refusal(results, ["camtrap_dp"], out, options)
    assert message.endswith("has no row for any of 1 videos: 'z.mp4'")


def test_times_without_zone(results, out, options, deployments):
    deployments.write_text(made.DEPLOYMENTS.replace("00Z", "00"), encoding="utf-8")
    assert "has no time zone" in refusal(results, ["bouts", "camtrap_dp"], out, options)


def test_no_table_of_deployments(results, out, tmp_path):
    options = FormatOptions(deployments=epath.Path(tmp_path / "nowhere.csv"))
    assert "nowhere.csv: there is no such file" in refusal(results, ["camtrap_dp"], out, options)


@pytest.mark.parametrize("name", ["webvtt", "boris_binary"])
def test_two_videos_of_one_stem_have_files_of_their_own(tmp_path, out, options, name):
    videos = [renamed(made.WHOLE, "a/b.mp4"), renamed(made.WHOLE, "a/b.avi")]
    results = write_results(tmp_path / "r.jsonl", made.HEADER, videos)
    written = write_formats(results, [name], out, options)[name]
    assert [path.with_suffix("").name for path in written] == ["b.mp4", "b.avi"]
    assert all(path.is_file() for path in written)
    shutil.rmtree(out / name)
    videos.append(renamed(made.WHOLE, f"a/b.mp4{written[0].suffix}"))
    results = write_results(tmp_path / "r.jsonl", made.HEADER, videos)
    message = refusal(results, [name], out, options)
    assert "would have one file" in message


def test_two_videos_of_one_name(tmp_path, out, options):
    videos = [made.WHOLE, renamed(made.WHOLE, "c.mp4 ")]
    results = write_results(tmp_path / "r.jsonl", made.HEADER, videos)
    assert "'c.mp4' and 'c.mp4 ' would have one name" in refusal(results, ["boris"], out, options)


def test_a_name_that_leads_out_of_the_folder(tmp_path, out, options):
    results = write_results(tmp_path / "r.jsonl", made.HEADER, [renamed(made.WHOLE, "../c.mp4")])
    assert "outside the folder" in refusal(results, ["webvtt"], out, options)


def test_a_path_that_camtrap_dp_does_not_take(tmp_path, out, options, deployments):
    deployments.write_text(made.DEPLOYMENTS.replace("c.mp4", "a..b.mp4"), encoding="utf-8")
    results = write_results(tmp_path / "r.jsonl", made.HEADER, [renamed(made.WHOLE, "a..b.mp4")])
    message = refusal(results, ["camtrap_dp"], out, options)
    assert "holds '..': " in message and "a..b.mp4" in message


def test_labels_that_boris_could_not_tell_apart(tmp_path, out, options):
    header = dataclasses.replace(made.HEADER, actions=("a (b)", "a [b]", "c"))
    results = write_results(tmp_path / "r.jsonl", header, [])
    message = refusal(results, ["boris"], out, options)
    assert "the actions 'a (b)', 'a [b]' would all be 'a [b]' in BORIS" in message
    write_formats(results, ["bouts"], out, options)


def test_names_of_bytes_that_are_no_text(tmp_path, out, deployments, options):
    name = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    deployments.write_text(made.DEPLOYMENTS.replace("c.mp4", "caf\ufffd.mp4"), encoding="utf-8")
    results = write_results(tmp_path / "r.jsonl", made.HEADER, [renamed(made.WHOLE, name)])
    written = write_formats(results, FORMATS, out, options)
    assert [path.name for path in written["webvtt"]] == ["caf\ufffd.vtt"]


def test_where_the_results_are_damaged_the_former_file_stays(results, out, options):
    write_formats(results, ["zamba"], out, options)
    before = (out / "zamba.csv").read_bytes()
    with results.path.open("a") as file:
        file.write("damaged\n")
    with pytest.raises(UserError, match="is no result of a video"):
        FORMATS["zamba"](results, out, options)
    assert (out / "zamba.csv").read_bytes() == before
    assert [path.name for path in out.iterdir()] == ["zamba.csv"]


@pytest.mark.parametrize("indent", [None, 1])
def test_a_project_with_corrections_is_not_replaced(results, out, options, indent):
    (path,) = write_formats(results, ["boris"], out, options)["boris"]
    project = json.loads(path.read_text())
    path.write_text(json.dumps(project, indent=indent))
    corrected = path.read_bytes()
    with pytest.raises(UserError, match=r"predictions\.boris was saved by another program"):
        write_formats(results, ["zamba", "boris"], out, options)
    assert path.read_bytes() == corrected and not (out / "zamba.csv").exists()
    path.rename(out / "corrected.boris")
    write_formats(results, ["boris"], out, options)
    assert json.loads(path.read_text()) == project


def test_results_that_are_not_there(tmp_path):
    with pytest.raises(MissingFileError, match="there are no results at .*none.jsonl"):
        Results.open(tmp_path / "none.jsonl")
    (tmp_path / "other.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match="is no file of results: its first line is"):
        Results.open(tmp_path / "other.jsonl")
