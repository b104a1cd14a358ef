"""What was found out, as text and as JSON."""

import json

import pytest
from made_annotations import EIDER, SCRIPT, annotations

from data_pipeline.inspection.examination import examine
from data_pipeline.inspection.report import as_json, as_text
from data_pipeline.inspection.subject import of_annotations


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    return examine(of_annotations("csv", "list.csv", annotations(root)), head=4, tail=2)


def test_the_answer_and_the_problems_come_first(found):
    lines = as_text(found, "train", top=20).splitlines()
    assert lines[0] == ("csv: 9 clips (train 5, test 3, val 1), 4 actions, 5 animals, 2 bouts")
    # No training clips; bouts; pairs; names; no files.
    assert lines[1].startswith("5 problems found, ")
    marks = [line.partition(":")[0] for line in lines if line.startswith(("problem:", "to know:"))]
    assert marks == ["problem"] * 5 + ["to know"] * (len(marks) - 5)


def test_a_long_list_is_cut_in_the_text_and_whole_in_the_json(found):
    assert "9 of 9 clips have no file" in as_text(found, "train", top=20)
    assert "  and 4 more\n" in as_text(found, "train", top=20)
    (missing,) = [one for one in as_json(found)["findings"] if one["kind"] == "clips_without_files"]
    assert len(missing["rows"]) == 9 and missing["is_problem"]


def test_histograms_and_the_long_tail(found):
    text = as_text(found, "train", top=20)
    assert "actions in 'train' (2 of 4 do not occur):\n  Eating       4 ####" in text
    # Eating has four training clips, walking three, and two actions none.
    assert "long tail of the actions (training clips: head from 4 on, tail below 2)" in text
    assert "head 1, middle 1, tail 2" in text


def test_segments_of_the_distribution_come_before_counts(tmp_path):
    made = annotations(
        tmp_path,
        action_segments=("tail", "tail", "head", "middle"),
        segments_source="df_action.xlsx",
    )
    found = examine(of_annotations("csv", "list.csv", made))
    assert "long tail of the actions (df_action.xlsx): head 1, middle 1, tail 2" in as_text(
        found, "train", top=5
    )
    assert as_json(found)["long_tail"] == {
        "source": "df_action.xlsx",
        "segment_of_action": {
            "Eating": "tail",
            "Walking": "tail",
            "Resting": "head",
            "Flying": "middle",
        },
    }


def test_the_json_has_all_counts(found):
    said = json.loads(json.dumps(as_json(found)))
    assert said.keys() == {
        *("report_version", "source", "dataset", "converted", "clips", "clips_of_split", "bouts"),
        *("problems", "findings", "actions", "animals", "long_tail", "actions_together"),
        *("animals_and_actions", "pairs_in_training", "videos"),
    }
    assert said["clips_of_split"] == {"train": 5, "test": 3, "val": 1}
    assert (said["bouts"], said["problems"], said["converted"]) == (2, 5, False)
    assert said["actions"][1] == {"name": "Walking", "clips": {"train": 3, "test": 2, "val": 0}}
    assert said["animals"][2] == {"name": EIDER, "clips": {"train": 0, "test": 1, "val": 0}}
    assert said["actions_together"] == [{"actions": ["Eating", "Walking"], "clips": 2}]
    pairs = {(one["animal"], one["action"]): one for one in said["animals_and_actions"]}
    # a, d and, of the recording, a bout of training and one of test.
    assert pairs["Fox", "Walking"]["clips"] == 3
    assert pairs["Fox", "Walking"]["training_clips"] == 2
    assert pairs[SCRIPT, "Eating"]["training_clips"] == 0
    # Fox: eating, walking, resting; boar: eating. Of five animals and four actions.
    assert said["pairs_in_training"] == {"occur": 4, "possible": 20}
    assert said["videos"] == {
        **{"all": 0, "opened": 0, "files_compared_by_content": 0},
        **{"sizes": {}, "clips": []},
    }
