"""The table at the end of the demo."""

import pytest
from scipy.stats import binomtest

from benchmarks.questions import NEW_ACTION, QUESTIONS, SHUFFLED, all_splits, for_new_action
from benchmarks.tour import table
from configs import demo
from data_pipeline.synthetic.plan import plan


def right_in(shares: dict[str, float], clips: int = 200):
    of_all = {
        question: {str(k): int(k < share * clips) for k in range(clips)}
        for question, share in shares.items()
    }
    right = {question: {"predicted": of_clips} for question, of_clips in of_all.items()}
    right["seen pairs"]["predicted" + SHUFFLED] = {str(k): int(k < 40) for k in range(clips)}
    return right


def test_a_line_a_question_with_wilsons_interval():
    shares = dict(zip(QUESTIONS, (0.9, 0.3, 0.65, 0.5, 0.1), strict=True))
    text = table(right_in(shares), num_actions=16, num_actions_with_new=18)
    lines = [line for line in text.splitlines() if "%" in line][1:]
    assert len(lines) == 6
    expected = (0.9, 0.2, 0.5, 0.3, 0.65, 0.1)
    for line, share in zip(lines, expected, strict=True):
        bounds = binomtest(round(200 * share), 200).proportion_ci(method="wilson")
        assert f" {100 * share:.0f} %" in line
        assert f"{100 * bounds.low:.0f} to {100 * bounds.high:.0f}" in line
    assert [line.split()[-2] for line in lines] == ["6"] * 6
    assert len(text.splitlines()) <= 8 and max(map(len, text.splitlines())) <= 100


def test_the_questions_are_the_splits_of_the_world():
    assert set(all_splits().split("+")) == {clip.split for clip in plan(1600, 16, 0)} - {"train"}
    assert demo.get_config().data.test_split == all_splits()


@pytest.mark.parametrize("kind", ["names", "templates", "descriptions"])
def test_the_new_action_is_asked_for_among_other_labels(kind):
    config = demo.get_config()
    config.evaluation.animal_sources = ("learned", "predicted", "none")
    new = for_new_action(config, "new", "texts", kind=kind)
    assert new.evaluation.open_vocabulary and new.data.directory == "new"
    assert new.evaluation.animal_sources == ("predicted", "none")
    is_read = kind == "descriptions"
    assert new.prompts.actions == ("texts/actions.csv" if is_read else kind)
    assert new.prompts.animals == ("texts/animals.csv" if is_read else kind)
    assert new.animals.prompts == "texts/animals.csv"
    assert config.data.directory == "runs/demo/data"  # the given one is as it was
    assert NEW_ACTION in QUESTIONS
