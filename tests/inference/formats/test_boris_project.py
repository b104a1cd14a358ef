"""The project for BORIS: held against what its own check asks for, and against that check."""

import dataclasses
import importlib.util
import json
import sys
import types
from collections import defaultdict

import made_results as made
import pytest

from animal_clip_jax.inference.formats import boris
from animal_clip_jax.inference.results import Bout, write_results
from data_pipeline.annotations.datasets import read_annotations


@pytest.fixture
def project(results, out, options):
    (path,) = boris.write(results, out, options)
    return json.loads(path.read_text())


def test_states_are_paired_and_do_not_touch(project):
    for observation in project["observations"].values():
        times = defaultdict(list)
        for time, subject, code, modifier, _ in observation["events"]:
            times[subject, code, modifier].append(time)
        for of_state in times.values():
            assert len(of_state) % 2 == 0
            assert all(a < b for a, b in zip(of_state, of_state[1:], strict=False))
        keys = [tuple(event[:3]) for event in observation["events"]]
        assert keys == sorted(keys)


def test_events_name_what_the_project_lists(project):
    codes = {behavior["code"] for behavior in project["behaviors_conf"].values()}
    subjects = {subject["name"] for subject in project["subjects_conf"].values()}
    events = [event for each in project["observations"].values() for event in each["events"]]
    assert len(events) == 10
    for _, subject, code, modifier, _ in events:
        assert code in codes and subject in subjects | {""} and modifier == ""
    for name in codes | subjects:
        assert not set(name) & set("(|),\\`~") and name == name.strip()
    # The label itself is not lost.
    descriptions = [each["description"] for each in project["behaviors_conf"].values()]
    assert descriptions == list(made.ACTIONS)


def test_the_media_of_an_observation_are_described(project):
    assert set(project["observations"]) == {
        video.name for video in made.VIDEOS if video is not made.FAILED
    }
    for name, observation in project["observations"].items():
        video = next(video for video in made.VIDEOS if video.name == name)
        assert observation["file"]["1"] == [video.path] and observation["type"] == "MEDIA"
        media = observation["media_info"]
        assert media["length"] == {video.path: video.media.duration}
        assert media["fps"] == {video.path: video.media.frame_rate}
        assert media["hasAudio"] == {video.path: video.media.has_audio}
    assert "blank" in project["observations"][made.BLANK.name]["description"]
    assert project["observations"][made.TO_ITS_MIDDLE.name]["description"].startswith("only the")


def test_a_project_has_all_that_boris_opens_it_with(project):
    assert set(project) == {
        "time_format", "project_date", "project_name", "project_description",
        "project_format_version", "subjects_conf", "behaviors_conf", "observations",
        "behavioral_categories", "behavioral_categories_config", "independent_variables",
        "coding_map", "behaviors_coding_map", "converters",
    }  # fmt: skip
    assert project["project_format_version"] == "7.0"
    assert project["project_date"] == "2026-11-24T10:00:00"


def test_more_behaviours_than_keys(tmp_path, out, options):
    actions = tuple(f"action {number}" for number in range(50))
    header = dataclasses.replace(made.HEADER, actions=actions)
    results = write_results(tmp_path / "r.jsonl", header, [])
    (path,) = boris.write(results, out, options)
    behaviors = json.loads(path.read_text())["behaviors_conf"].values()
    keys = [behavior["key"] for behavior in behaviors if behavior["key"]]
    assert len(behaviors) == 50 and len(keys) == len(set(keys)) == 36


def test_the_check_of_boris_finds_nothing(results, out, options, boris_projects):
    (path,) = boris.write(results, out, options)
    _, _, project, _ = boris_projects.open_project_json(str(path))
    check = boris_projects.check_project_integrity
    assert "error" not in project and len(project["observations"]) == 5
    assert check(project, "hh:mm:ss", str(path), media_file_available=False) == ""
    # It would find a state that does not end.
    project["observations"]["c.mp4"]["events"].pop()
    assert "not PAIRED" in check(project, "hh:mm:ss", str(path), media_file_available=False)


@pytest.fixture
def boris_projects(monkeypatch):
    """BORIS's module of projects, where it is installed; without its window, which its package
    opens."""
    spec = importlib.util.find_spec("boris")
    if spec is None:
        pytest.skip("BORIS is not installed")
    package = types.ModuleType("boris")
    package.__path__ = list(spec.submodule_search_locations)
    monkeypatch.setitem(sys.modules, "boris", package)
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    try:
        return importlib.import_module("boris.project_functions")
    except (ImportError, OSError) as error:
        pytest.skip(f"BORIS does not load here: {error}")


def test_bouts_of_two_animals_may_overlap(tmp_path, out, options):
    video = dataclasses.replace(
        made.WITH_BOUTS,
        bouts=tuple(Bout(1.0, 2.0 + n, made.ACTIONS[0], made.ANIMALS[n], 0.5) for n in (0, 1)),
    )
    results = write_results(tmp_path / "r.jsonl", made.HEADER, [video])
    (path,) = boris.write(results, out, options)
    (observation,) = json.loads(path.read_text())["observations"].values()
    assert [(event[0], event[1]) for event in observation["events"]] == [
        (1.0, 'Bär "Öko"'), (1.0, "Red Fox"), (2.0, "Red Fox"), (3.0, 'Bär "Öko"'),
    ]  # fmt: skip


def test_what_was_corrected_there_comes_back(tmp_path, out, options):
    """Also labels that BORIS cannot take as they are."""
    header = dataclasses.replace(made.HEADER, software="animal_clip_jax 0.1.0")
    results = write_results(tmp_path / "r.jsonl", header, [made.WITH_BOUTS])
    (path,) = boris.write(results, out, options)
    project = json.loads(path.read_text())
    (observation,) = project["observations"].values()
    moved = [event for event in observation["events"] if event[0] == 12.0]
    assert len(moved) == 1
    moved[0][0] = 12.5  # as a person would drag it
    path.write_text(json.dumps(project))
    (out / made.WITH_BOUTS.name).parent.mkdir(parents=True)
    (out / made.WITH_BOUTS.name).touch()
    clips = read_annotations("boris", path).clips
    assert [(clip.start, clip.stop, clip.actions, clip.animals) for clip in clips] == [
        (1.0, 5.0, (made.ACTIONS[0],), (made.ANIMALS[0],)),
        (2.25, 6.5, (made.ACTIONS[1],), (made.ANIMALS[1],)),
        (10.0, 12.5, (made.ACTIONS[0],), (made.ANIMALS[0],)),
    ]
    assert {clip.path for clip in clips} == {made.WITH_BOUTS.name}
