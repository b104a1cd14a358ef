"""The page of an evaluation, read as a browser reads it."""

import base64
import csv
import dataclasses
import io
import json
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from etils import epath
from page_reader import Reader
from PIL import Image
from sklearn.metrics import confusion_matrix

from animal_clip_jax.errors import UserError
from animal_clip_jax.evaluation import intervals, metrics
from animal_clip_jax.evaluation.per_class import per_class_rows
from animal_clip_jax.run import results
from animal_clip_jax.run.data import whole_split
from animal_clip_jax.run.evaluate import evaluate
from animal_clip_jax.run.evaluation_report.evaluated import Evaluated
from animal_clip_jax.run.evaluation_report.page import evaluation_page
from animal_clip_jax.run.evaluator import Known, Result, SourceResult
from data_pipeline.dataset import load_info

SOURCE = {
    "data": "lote_animal",
    "data_directory": "",
    "clip_set": "test",
    "animal_sources": ["none", "labels"],
    "shuffle_frames": False,
    "temporal_views": 1,
    "crops": 1,
    "step": 6,
    "checkpoint": "latest",
    "best_checkpoint_chosen_on": "none",
}
HOSTILE = (
    "<script>alert(1)</script>",
    r"$\undefined{$ & 'q' <img src=x onerror=alert(2)>",
    "cod\u202egnp.exe",
    "bell\x07 and ]]>",
    "走る",
)


class Page(Reader):
    """A page, its tables by section, and its pictures."""

    def __init__(self, text: str):
        self.tables: dict[str, list[list[list[str]]]] = {}
        self._section = ""
        super().__init__(text)
        self.text = "".join(self.words)
        self.check_is_inert()

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        if tag == "section":
            self._section = dict(attrs)["id"]
        elif tag == "table":
            self.tables.setdefault(self._section, []).append([])
        elif tag == "tr":
            self.tables[self._section][-1].append([])
        elif tag in ("td", "th"):
            self.tables[self._section][-1][-1].append("")

    def handle_data(self, data):
        super().handle_data(data)
        if {"td", "th"} & set(self.open):
            self.tables[self._section][-1][-1][-1] += data

    def pictures(self, kind: str) -> list[bytes]:
        beginning = f"data:{kind};base64,"
        sources = [values["src"] for tag, values in self.elements if tag == "img"]
        return [
            base64.b64decode(source.removeprefix(beginning))
            for source in sources
            if source.startswith(beginning)
        ]


def evaluated_on(data, *, actions=None, multi_label=False, clips=None) -> Evaluated:
    """An evaluation of the test clips with made-up probabilities and features.

    Args:
        actions: names of actions that the clips show at random, instead of their own.
        clips: rows of the split; None for all.
    """
    random = np.random.default_rng(0)
    info, clip_set = load_info(data), whole_split(str(data), "test")
    if clips is not None:
        rows = np.asarray(clips)
        clip_set = dataclasses.replace(clip_set, rows=rows, index=clip_set.index.take(rows))
    number = len(clip_set.index)
    if actions is not None:
        labels = tuple(
            tuple(sorted(random.choice(len(actions), 2 if multi_label else 1, replace=False)))
            for _ in range(number)
        )
        clip_set = dataclasses.replace(
            clip_set, index=dataclasses.replace(clip_set.index, actions=labels)
        )
        counts = np.ones((len(info.animal_names), len(actions)), np.int64)
        info = dataclasses.replace(
            info, action_names=tuple(actions), multi_label=multi_label, relation_counts=counts
        )
    known = Known(info, np.geomspace(600, 2, len(info.action_names)).astype(int))
    targets, animals = np.zeros((number, len(info.action_names))), np.zeros((number, 99))
    for row in range(number):
        targets[row, list(clip_set.index.actions[row])] = 1
        animals[row, list(clip_set.index.animals[row])] = 1
    animals = animals[:, : len(info.animal_names)]
    parts = []
    for source in ("none", "labels"):
        powers = np.exp(random.standard_normal(targets.shape) * 1.5 + 2 * targets)
        scores = powers / (1 + powers) if multi_label else powers / powers.sum(1, keepdims=True)
        figures = metrics.summarise(
            scores, targets, animals, info.relation_counts, known.action_clips, multi_label
        )
        if multi_label:
            figures |= intervals.mean_ap_errors(scores, targets, known.segments())
        rows = per_class_rows(
            info.action_names, scores, targets, known.action_clips, multi_label=multi_label
        )
        parts.append(SourceResult(source, False, figures, rows, [], scores))
    features = random.standard_normal((number, 8)).astype(np.float32)
    outputs = "sigmoid" if multi_label else "softmax"
    return Evaluated(SOURCE, Result(parts, {}, features), clip_set, known, outputs, str(data))


@pytest.fixture(scope="module")
def single(data) -> tuple[Evaluated, Page]:
    evaluated = evaluated_on(data)
    return evaluated, Page(evaluation_page(evaluated))


def test_figures_are_those_of_the_files_beside_it(single, tmp_path):
    evaluated, page = single
    folder = results.write(
        epath.Path(tmp_path), evaluated.source, evaluated.result, multi_label=False
    )
    written = json.loads((folder / "metrics.json").read_text())["metrics"]
    ((_, *rows),) = page.tables["figures"]
    assert [name for name, _ in rows] == list(written)
    for name, value in rows:
        assert float(value) == pytest.approx(written[name], abs=5.1e-5)
    with (folder / "per_class.csv").open() as file:
        of_file = {
            (row["class"], row["animals_from"]): float(row["accuracy"])
            for row in csv.DictReader(file)
        }
    ((header, *rows),) = page.tables["actions"]
    assert header[1:3] == ["accuracy, animals not given", "accuracy, animals ground truth"]
    assert [int(row[4]) for row in rows] == sorted((int(row[4]) for row in rows), reverse=True)
    for name, none, labels, *_ in rows:
        assert float(none) == pytest.approx(of_file[name, "none"], abs=5.1e-5)
        assert float(labels) == pytest.approx(of_file[name, "labels"], abs=5.1e-5)
    top1 = f"{100 * written['none/top1']:.0f}"
    assert page.tables["result"][0][1][:2][1].startswith(f"{top1} (")
    assert f"{top1} %" in page.text


def test_segments_have_their_classes_clips_and_figures(single):
    evaluated, page = single
    ((_, *rows),) = page.tables["segments"]
    segments, targets = evaluated.known.segments(), evaluated.targets
    assert [row[0] for row in rows] == ["head", "middle", "tail"]
    for segment, figure, _, classes, training, test in rows:
        inside = segments == segment
        of_segment = targets[:, inside].any(axis=1)
        best = evaluated.part.probabilities[of_segment].argmax(axis=1)
        share = targets[of_segment][np.arange(of_segment.sum()), best].mean()
        assert figure.startswith(f"{100 * share:.0f} (")
        assert (int(classes), int(test)) == (inside.sum(), of_segment.sum())
        assert int(training) == evaluated.known.action_clips[inside].sum()


def test_the_matrix_is_scikit_learns(single):
    evaluated, page = single
    pairs, (header, *rows) = page.tables["confusions"]
    names = header[1:]
    assert [row[0] for row in rows] == names
    order = [evaluated.actions.index(name) for name in names]
    labels = evaluated.targets.argmax(axis=1)
    best = evaluated.part.probabilities.argmax(axis=1)
    expected = confusion_matrix(labels, best, labels=order)
    np.testing.assert_array_equal([[int(cell) for cell in row[1:]] for row in rows], expected)
    annotated, predicted, clips = pairs[1]
    most = (expected - np.diag(np.diag(expected))).max()
    place = names.index(annotated), names.index(predicted)
    assert expected[place] == most and clips.startswith(f"{most} of ")


def test_mistakes_are_the_worst_ones_with_frames_of_their_clips(single):
    evaluated, page = single
    probabilities, labels = evaluated.part.probabilities, evaluated.targets.argmax(axis=1)
    wrong = [k for k in range(len(labels)) if probabilities[k].argmax() != labels[k]]
    worst = sorted(wrong, key=lambda k: -probabilities[k].max())[:24]
    ids = [
        values["alt"].removeprefix("frames of the clip ")
        for tag, values in page.elements
        if tag == "img" and values["alt"].startswith("frames of the clip")
    ]
    assert ids == [evaluated.clips.index.clip_ids[k] for k in worst]
    pictures = page.pictures("image/jpeg")
    assert len(pictures) == len(worst)
    strip = np.asarray(Image.open(io.BytesIO(pictures[0]))).astype(float)
    height, width = strip.shape[:2]
    assert width == 4 * height + 6  # four square frames
    from data_pipeline.batches.reading import Source

    stored = Source.open(evaluated.directory, "test").stored_frames(worst[0])
    first = np.asarray(Image.open(io.BytesIO(stored[0])).resize((height, height))).astype(float)
    last = np.asarray(Image.open(io.BytesIO(stored[-1])).resize((height, height))).astype(float)
    assert np.abs(strip[:, :height] - first).mean() < 8
    assert np.abs(strip[:, -height:] - last).mean() < 8
    assert f"{100 * probabilities[worst[0]].max():.1f} %" in page.text


@pytest.mark.parametrize("multi_label", [False, True])
def test_names_of_others_are_text_and_nothing_else(data, multi_label):
    """In the page, and in the charts, where Matplotlib would read formulas."""
    names = [*HOSTILE, *(f"action {k}" for k in range(31))]
    page = Page(evaluation_page(evaluated_on(data, actions=names, multi_label=multi_label)))
    assert "script" not in {tag for tag, _ in page.elements}
    assert HOSTILE[0] in page.text and HOSTILE[1] in page.text
    assert "\u202e" not in page.text and "\x07" not in page.text
    charts = page.pictures("image/svg+xml")
    assert len(charts) == 5
    texts = []
    for chart in charts:
        tree = ElementTree.fromstring(chart)
        assert "script" not in {element.tag.split("}")[-1] for element in tree.iter()}
        texts += ["".join(element.itertext()) for element in tree.iter()]
    assert any(r"$\undefined{$ & 'q'" in text for text in texts)
    assert "走る" in texts
    # Of 36 actions, the matrix has 30.
    _, (header, *rows) = page.tables["confusions"]
    assert len(header) == 31 and len(rows) == 30 and "Of 36 actions, the 30" in page.text


def test_several_actions_a_clip_are_a_co_occurrence(data):
    evaluated = evaluated_on(data, actions=["a", "b", "c", "d"], multi_label=True)
    page = Page(evaluation_page(evaluated))
    assert "Co-occurrence" in page.text and "Mean average precision" in page.text
    _, (header, *rows) = page.tables["confusions"]
    counts = {row[0]: dict(zip(header[1:], map(int, row[1:]), strict=True)) for row in rows}
    probabilities, targets = evaluated.part.probabilities, evaluated.targets
    both_best = np.argsort(-probabilities, axis=1)[:, :2]
    expected = sum(
        1 for shown, best in zip(targets, both_best, strict=True) if shown[0] and 1 in best
    )
    assert counts["a"]["b"] == expected
    # Each action of each clip is an answer of the calibration.
    ((_, *bins),) = page.tables["calibration"]
    assert sum(int(row[0].replace(",", "")) for row in bins) == targets.size


@pytest.mark.parametrize("clips", [[3], [3, 4]])
def test_an_evaluation_of_a_clip_or_two(data, clips):
    page = Page(evaluation_page(evaluated_on(data, clips=clips)))
    assert len(page.pictures("image/svg+xml")) == 5
    assert "nan" not in page.text


def test_it_is_written_into_the_evaluation_whose_name_and_figures_stay(run, tmp_path):
    """Those that the training wrote at its end, without a page."""
    workdir = tmp_path / "run"
    shutil.copytree(run, workdir)
    (folder,) = (workdir / "evaluations").iterdir()
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert "report.html" not in before
    printed = evaluate(workdir, report=True)
    assert "(report.html first)" in printed
    assert list((workdir / "evaluations").iterdir()) == [folder]
    after = {path.name: path.read_text() for path in folder.iterdir()}
    page = Page(after.pop("report.html"))
    assert after.keys() == before.keys()
    old, new = (json.loads(files["metrics.json"]) for files in (before, after))
    assert new.pop("metrics") == pytest.approx(old.pop("metrics"), abs=1e-6) and new == old
    assert "ground truth" in page.text and "shuffled" in page.text


def test_damaged_frames_are_named(data, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    evaluated = evaluated_on(copy)
    for shard in copy.glob("*test.tfrecord*"):
        content = bytearray(shard.read_bytes())
        content[200::211] = bytes(len(content[200::211]))
        shard.write_bytes(content)
    with pytest.raises(UserError, match=r"the record of the clip .* is corrupt"):
        evaluation_page(evaluated)
