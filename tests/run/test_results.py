"""The short table of an evaluation: its figures, their intervals and digits, its width."""

import csv
import json
import re

import numpy as np
import pytest
import tiny_run
from etils import epath
from scipy import stats

from animal_clip_jax.errors import UserError
from animal_clip_jax.run import results
from animal_clip_jax.run.evaluate import evaluate
from animal_clip_jax.run.evaluator import Result, SourceResult

SOURCE = {
    "data": "lote_animal",
    "clip_set": "test",
    "animal_sources": ["none", "labels"],
    "shuffle_frames": True,
    "temporal_views": 4,
    "crops": 3,
    "step": 1680,
    "checkpoint": "latest",
    "best_checkpoint_chosen_on": "none",
}
# Clips, and how many of them are right.
FEATURES = np.zeros((320, 2), np.float32)
GROUPS = {"": (320, 297), "_seen_pairs": (192, 188), "_unseen_pairs": (64, 55)}
SINGLE = {
    **{f"clips{group}": clips for group, (clips, _) in GROUPS.items()},
    **{f"top1{group}": right / clips for group, (clips, right) in GROUPS.items()},
    "chance": 0.125,
    "precision_at_3_per_class": 0.2,
}
MULTI = {
    "clips": 6096,
    "top1": 0.6,
    "mAP": 0.3055,
    "mAP_error": 0.01,
    "mAP_head": 0.5,
    "mAP_head_error": 0.02,
    "clips_head": 6000,
    "mAP_tail": 0.9,
    "mAP_tail_error": 0.2,
    "clips_tail": 12,
    "chance_mAP": 0.021,
}


def figures_of(own: dict[str, float], names: tuple[str, ...] = ("none", "labels")):
    return {
        f"{name}/{prefix}{figure}": value
        for name in names
        for prefix in ("", "shuffled_")
        for figure, value in own.items()
    }


def summary(own, *, width=120, multi_label=False, **source) -> str:
    return results.summary(
        {**SOURCE, **source}, figures_of(own), multi_label=multi_label, width=width
    )


def row(text: str, beginning: str) -> list[str]:
    """The cells of the first row that begins like this."""
    (line, *_) = [line for line in text.splitlines() if line.startswith(beginning)]
    return re.split(r"  +", line)


def test_accuracies_have_intervals_and_the_digits_that_their_clips_allow():
    text = summary(SINGLE)
    assert row(text, "animals") == ["animals", "frames", "all", "seen pairs", "unseen pairs"]
    assert "320 clips  " in text and "192 clips  " in text and "64 clips\n" in text
    expected = []
    for clips, right in GROUPS.values():
        low, high = stats.binomtest(right, clips).proportion_ci(0.95, method="wilson")
        digits = 1 if clips >= 100 else 0
        found = (f"{100 * share:.{digits}f}" for share in (right / clips, low, high))
        expected.append("{} ({}–{})".format(*found))
    for words in (["not given", "in order"], ["ground truth", "shuffled"]):
        assert row(text, "  ".join(w.ljust(12) for w in words[:1]) + "  " + words[1]) == [
            *words,
            *expected,
        ]
    assert row(text, "chance") == ["chance", "12.5", "12.5", "12.5"]
    assert "precision" not in text and "lote_animal, test: 320 clips, in 12 views each" in text


def test_a_narrow_screen_has_the_intervals_below_the_figures():
    wide, narrow = (
        summary(SINGLE | {"top1_unseen_animals": 0.85, "clips_unseen_animals": 64}, width=width)
        for width in (120, 80)
    )
    assert max(map(len, wide.splitlines())) <= 120
    assert max(map(len, narrow.splitlines())) <= 80
    # The same figures in both.
    numbers = r"\d+\.?\d*"
    assert sorted(re.findall(numbers, wide)) == sorted(re.findall(numbers, narrow))
    assert "92.8 (" in wide and "92.8 (" not in narrow


def test_without_shuffled_frames_there_is_no_column_of_them():
    text = summary(SINGLE, shuffle_frames=False, animal_sources=["none"])
    assert row(text, "animals") == ["animals", "all", "seen pairs", "unseen pairs"]
    assert "shuffled" not in text and "ground truth" not in text


def test_several_actions_a_clip():
    text = summary(MULTI, multi_label=True)
    assert row(text, "animals") == ["animals", "frames", "mAP", "head", "tail"]
    assert "6096 clips  " in text and "12 clips\n" in text
    found = row(text, "not given")
    assert found[2:] == ["30.6 (28.6–32.5)", "50.0 (46.1–53.9)", "90 (51–100)"]
    assert row(text, "chance") == ["chance", "2.1"]
    without = summary({n: v for n, v in MULTI.items() if "error" not in n}, multi_label=True)
    assert row(without, "not given")[2:] == ["30.6", "50.0", "90"] and "interval" not in without


BY_GROUP = {"lizard": (457, 200), "water bird": (130, 45), "horse": (26, 20)}
GROUPED = {
    **{f"clips_group_{name}": clips for name, (clips, _) in BY_GROUP.items()},
    **{f"top1_group_{name}": right / clips for name, (clips, right) in BY_GROUP.items()},
    "top1_per_group": sum(right / clips for clips, right in BY_GROUP.values()) / 3,
}


def test_groups_have_a_row_each_and_their_mean():
    text = summary(SINGLE | GROUPED)
    assert row(text, "group") == ["group", "clips", "not given", "ground truth"]
    for name, (clips, right) in BY_GROUP.items():
        low, high = stats.binomtest(right, clips).proportion_ci(0.95, method="wilson")
        digits = 1 if clips >= 100 else 0
        figure, low, high = (f"{100 * share:.{digits}f}" for share in (right / clips, low, high))
        assert row(text, name) == [name, str(clips), *[f"{figure} ({low}–{high})"] * 2]
    (name, clips, figure, _) = row(text, "mean of groups")
    assert (name, clips) == ("mean of groups", "613") and figure.startswith("51.8 (")
    assert "By group" not in summary(SINGLE)
    narrow = summary(SINGLE | GROUPED, width=50)
    assert sorted(re.findall(r"\d+\.?\d*", narrow)) == sorted(re.findall(r"\d+\.?\d*", text))


def test_of_many_groups_the_largest_are_shown():
    own = {f"{name}_group_{k:02d}": 1 for name in ("top1", "clips") for k in range(23)}
    text = summary(SINGLE | own | {"top1_per_group": 1.0})
    assert "3 smaller groups are in per_group.csv" in text
    assert row(text, "19")[1] == "1" and not re.search("(?m)^20 ", text)


def test_rows_of_groups_are_written(tmp_path):
    parts = [
        SourceResult(
            name, False, SINGLE | figures, [{"class": "Walking"}], [{"clip": "a"}], np.ones((1, 2))
        )
        for name, figures in (("none", GROUPED), ("labels", GROUPED))
    ]
    source, result = {**SOURCE, "shuffle_frames": False}, Result(parts, {}, FEATURES)
    folder = results.write(epath.Path(tmp_path), source, result, multi_label=False)
    rows = list(csv.DictReader((folder / "per_group.csv").read_text().splitlines()))
    assert [row["group"] for row in rows] == [*BY_GROUP, "mean of groups"] * 2
    assert rows[2]["animals_from"] == "none" and rows[2]["clips"] == "26"
    low, high = stats.binomtest(20, 26).proportion_ci(0.95, method="wilson")
    for column, expected in (("accuracy", 20 / 26), ("low", low), ("high", high)):
        assert float(rows[2][column]) == pytest.approx(expected, abs=1e-6)
    assert "water bird" in (folder / "report.txt").read_text()
    for part in parts:
        for name in GROUPED:
            del part.figures[name]
    folder = results.write(epath.Path(tmp_path), source, result, multi_label=False)
    assert not (folder / "per_group.csv").exists()


def test_groups_of_several_actions_a_clip():
    own = {"mAP_group_bird": 0.5, "mAP_group_bird_error": 0.1, "clips_group_bird": 200}
    own |= {"mAP_per_group": 0.4, "mAP_per_group_error": 0.05}
    text = summary(MULTI | own, multi_label=True)
    assert row(text, "bird") == ["bird", "200", *["50.0 (30.4–69.6)"] * 2]
    assert row(text, "mean of")[2] == "40.0 (30.2–49.8)"


def test_the_source_of_the_segments_is_named():
    text = summary(MULTI, multi_label=True)
    assert "tail: by training clips; head has at least 500, tail fewer than 100." in text
    official = summary(MULTI, multi_label=True, segments_source="df_action.xlsx")
    assert "Head, middle, tail: as df_action.xlsx has them." in official
    assert "by training clips" not in official


def test_recognised_animals_have_their_own_figure():
    figures = figures_of(SINGLE, ("none", "predicted", "learned"))
    figures |= {"predicted/animals_top1": 0.5432, "learned/animals_top1": 0.93}
    source = {**SOURCE, "animal_sources": ["none", "predicted", "learned"]}
    text = results.summary(source, figures, multi_label=False, width=80)
    assert text.endswith("Clips whose animal is recognised: zero-shot 54 %, linear probe 93 %.")


def test_the_line_after_an_epoch():
    assert results.headline(SINGLE, multi_label=False) == "top-1 92.8 % (89.4–95.2)"
    assert results.headline(MULTI, multi_label=True) == "mAP 30.6 %"
    assert results.curves(MULTI, multi_label=True) == {
        "mAP": 0.3055,
        "mAP_head": 0.5,
        "mAP_tail": 0.9,
    }


def test_what_is_written_is_complete_and_what_is_printed_short(run, data):
    """Of the run's own evaluation at its end, and as a command of its own prints it."""
    (folder,) = (run / "evaluations").iterdir()
    content = results.read(epath.Path(folder))
    written = (folder / "report.txt").read_text()
    for name in ("precision_at_3_per_class", "inconsistency", "top1_unseen_pairs"):
        assert f"none/{name}" in content["metrics"] and re.search(rf"(?m)^{name} ", written)
    assert "none/shuffled_top5" in content["metrics"] and "none shuffled" in written
    printed = evaluate(run, tiny_run.config_on(data))
    assert "precision" not in printed and len(printed.splitlines()) < 25
    assert printed.splitlines()[-1] == str(folder)
    assert json.loads((folder / "metrics.json").read_text())["metrics"] == content["metrics"]


@pytest.mark.parametrize("text", ["", "{}", '{"metrics": 3}'])
def test_a_damaged_result_is_named(text, tmp_path):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(UserError, match=f"{tmp_path}/metrics.json is damaged: .*; remove its"):
        results.read(epath.Path(tmp_path))
