"""The ablations' statistics, tables and what they are told to train."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animal_clip_jax.errors import UserError
from animal_clip_jax.run.config import check_fields, flat_config
from benchmarks.ablations import page
from benchmarks.ablations.claims import CLAIMS, EXPECTED
from benchmarks.ablations.variants import BY_NAME, PUBLISHED, SOURCES, VARIANTS
from benchmarks.questions import QUESTIONS
from benchmarks.trainings.intervals import Difference, paired_difference
from benchmarks.trainings.many import checked_kinds, checked_seeds, finished
from benchmarks.trainings.one import FINISHED, Job, Places, config_of, record_of
from benchmarks.trainings.outcomes import Outcomes, put_into


def job(variant: str) -> Job:
    places = Places("/data", "/new", "/texts", "/weights", "/runs")
    return Job(variant, "demo", BY_NAME[variant].fields, True, 3, 5, places)


def test_the_interval_of_a_difference_is_that_of_its_standard_error():
    rng = np.random.default_rng(0)
    ours, theirs = (rng.random((1, 4000)) < share for share in (0.6, 0.5))
    found = paired_difference(ours, theirs)
    difference = 100.0 * (ours.astype(float) - theirs)
    error = difference.std() / np.sqrt(4000)
    assert found.value == pytest.approx(difference.mean())
    assert found.low == pytest.approx(found.value - 1.96 * error, abs=0.15)
    assert found.high == pytest.approx(found.value + 1.96 * error, abs=0.15)
    assert found.verdict == "better"


def test_what_is_hard_for_both_does_not_count_and_luck_with_a_seed_does():
    rng = np.random.default_rng(0)
    hard = rng.random((1, 300)) < 0.5
    same = np.repeat(hard, 3, axis=0)
    assert paired_difference(same, same) == Difference(0.0, 0.0, 0.0)
    # One seed is 30 points better on every clip, the others are alike.
    lucky = np.zeros((3, 300))
    lucky[0] = rng.permutation(300) < 90
    of_seeds = paired_difference(lucky, np.zeros((3, 300)))
    alike = paired_difference(np.tile(lucky.mean(axis=0), (3, 1)), np.zeros((3, 300)))
    assert of_seeds.value == pytest.approx(alike.value)
    assert of_seeds.low == 0.0 < alike.low and of_seeds.verdict == "no difference shown"


@settings(max_examples=5)
@given(st.integers(0, 100))
def test_sides_may_be_exchanged(seed):
    rng = np.random.default_rng(seed)
    ours, theirs = rng.integers(0, 2, (2, 2, 30))
    forth, back = paired_difference(ours, theirs), paired_difference(theirs, ours)
    assert forth.value == pytest.approx(-back.value)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))


def test_other_clips_are_refused():
    with pytest.raises(ValueError, match=r"\(seeds, clips\); found \(2, 3\), \(2, 4\)"):
        paired_difference(np.zeros((2, 3)), np.zeros((2, 4)))


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        (["0", "1", "0"], "--seeds=0,1,0: 0 is there twice; a repeated seed gives"),
        (["0", "00"], "0 is there twice"),
        ([], "expected whole numbers from 0"),
        (["-1"], "expected whole numbers from 0"),
        (["one"], "expected whole numbers from 0"),
    ],
)
def test_seeds_that_are_no_evidence(seeds, message):
    with pytest.raises(UserError, match=message):
        checked_seeds(seeds)


def test_variants_are_known_by_name():
    assert checked_seeds(["2", "0"]) == [2, 0]
    assert checked_kinds([], VARIANTS) == list(VARIANTS)
    assert checked_kinds(["gate", "published"], VARIANTS) == [BY_NAME["published"], BY_NAME["gate"]]
    with pytest.raises(UserError, match="none is called 'publshed'; there are .*published, "):
        checked_kinds(["publshed"], VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_is_a_configuration_that_differs_from_the_published(variant, monkeypatch):
    config = config_of(job(variant.name))
    monkeypatch.chdir(page.__file__.rsplit("/benchmarks/", 1)[0])
    check_fields(config)
    different = {name for name, value in PUBLISHED.items() if flat_config(config)[name] != value}
    assert different == set(variant.fields) - {
        name for name, value in variant.fields.items() if PUBLISHED[name] == value
    }
    assert (variant.name == "published") == (not different)


def test_no_two_variants_are_the_same():
    fields = [tuple(sorted({**PUBLISHED, **variant.fields}.items())) for variant in VARIANTS]
    assert len(set(fields)) == len(fields)


def test_claims_are_about_what_is_trained_and_asked():
    for claim in (*CLAIMS, *EXPECTED):
        for side in (claim.ours, claim.theirs):
            assert side.variant in BY_NAME and side.source in SOURCES
    for claim in CLAIMS:
        assert set(claim.questions) <= set(QUESTIONS)
    assert {expected.question for expected in EXPECTED} <= set(QUESTIONS)


def right_of(accuracies: dict[str, float]) -> Outcomes:
    """Two seeds of 200 clips of each question, right in shares that are told by variant."""
    finished = {}
    for variant, share in accuracies.items():
        for seed in (0, 1):
            clips = {
                f"clip{k:03d}": int(k < round(200 * (share + 0.02 * seed))) for k in range(200)
            }
            by_source = dict.fromkeys(SOURCES, clips)
            finished[variant, seed] = {question: by_source for question in QUESTIONS}
    return Outcomes.of_trainings(finished)


def test_the_tables_say_means_deviations_and_verdicts():
    right = right_of({"published": 0.5, "video-descriptions": 0.3, "video-names": 0.3})
    text = page.written(right)
    lines = text.splitlines()
    # 50 and 52 %: their standard deviation is the root of 2.
    assert "| as published, descriptions | 51.0 ± 1.4 |" in text
    assert lines[0].startswith("Top-1 in percent, the mean of 2 seeds")
    (claim,) = [
        line
        for line in lines
        if line.startswith("| Refinement with given animals rather than none | seen pairs")
    ]
    assert "+20.0 (" in claim and claim.endswith("| better |")
    (same,) = [
        line
        for line in lines
        if line.startswith("| Descriptions rather than names, video tower alone | seen pairs")
    ]
    assert same.endswith("| +0.0 (+0.0 to +0.0) | no difference shown |")
    # What was not trained is in no row.
    assert "taxonomy" not in text


def test_words_follow_from_the_rows():
    accuracies = {"published": 0.5, "video-descriptions": 0.3, "video-names": 0.3}
    text = page.written(right_of(accuracies))
    every = "seen pairs (+20.0), unseen pairs (+20.0), unseen animals (+20.0)"
    line = f"- Refinement with given animals rather than none: better on {every} and"
    assert f"{line} shifted background (+20.0)." in text
    assert "video tower alone | +0.0 (+0.0 to +0.0) | not shown |" in text
    assert "beats none, as published, on unseen animals | +20.0" in text
    worse = page.written(right_of(accuracies | {"recommended": 0.1}))
    assert "does not lose on unseen pairs | -20.0" in worse
    (row,) = [line for line in worse.splitlines() if "does not lose on unseen pairs" in line]
    assert row.endswith("| no |")


@pytest.mark.parametrize(
    ("found", "least", "expected"),
    [
        (Difference(6, 1, 11), 5.0, "yes"),
        (Difference(4, 1, 7), 5.0, "better, by less than 5 points"),
        (Difference(9, -1, 19), 5.0, "not shown"),
        (Difference(-3, -5, -1), 0.0, "no"),
        (Difference(-3, -7, 1), None, "no loss shown"),
        (Difference(-3, -5, -1), None, "no"),
    ],
)
def test_whether_an_expectation_came_true(found, least, expected):
    assert page.outcome(found, least) == expected


def test_the_tables_have_their_place_in_a_page(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("# Before\n<!-- ablations: begin -->\nold\n<!-- ablations: end -->\nafter\n")
    for _ in range(2):
        put_into(path, "new\n", "ablations")
        expected = "# Before\n<!-- ablations: begin -->\n\nnew\n\n<!-- ablations: end -->\nafter\n"
        assert path.read_text() == expected
    path.write_text("# Nothing\n")
    with pytest.raises(UserError, match="has no place for the tables"):
        put_into(path, "new\n", "ablations")
    assert path.read_text() == "# Nothing\n"


def test_a_training_that_is_there_is_the_one_that_is_asked_for(data, recogniser_folder, tmp_path):
    places = Places(str(data), str(data), "/texts", str(recogniser_folder), str(tmp_path))

    def there(epochs: int = 5, variant: str = "published") -> Job:
        return Job(variant, "demo", BY_NAME[variant].fields, True, 3, epochs, places)

    assert finished(there()) is None
    there().workdir.mkdir()
    content = {"of": record_of(there()), "right": {"seen pairs": {}}}
    (there().workdir / FINISHED).write_text(json.dumps(content))
    assert finished(there()) == {"seen pairs": {}}
    # The same content in another place is the same training.
    moved = tmp_path / "moved"
    shutil.copytree(data, moved)
    assert finished(there()._replace(places=places._replace(data=str(moved)))) == {"seen pairs": {}}
    with pytest.raises(UserError, match="holds another training: epochs was 5, and is 6; take"):
        finished(there(epochs=6))
    # A variant that is defined otherwise than it was.
    there(variant="gate").workdir.mkdir()
    (there(variant="gate").workdir / FINISHED).write_text(json.dumps(content))
    with pytest.raises(UserError, match="holds another training: fields was"):
        finished(there(variant="gate"))
