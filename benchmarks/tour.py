"""What the demo's model is able to, in a few lines: the end of `make demo`.

    python -m benchmarks.tour --run=runs/demo/run --new_action=runs/demo/unseen_action \
      --new_texts=runs/demo/world/unseen_action/descriptions
"""

import argparse
import os
import sys
from collections.abc import Sequence

from animal_clip_jax.errors import UserError
from animal_clip_jax.evaluation.intervals import wilson
from animal_clip_jax.run.trained_run import TrainedRun
from animal_clip_jax.tables import format_table
from benchmarks.questions import NEW_ACTION, SHUFFLED, Right, for_new_action, right_of
from data_pipeline.dataset import load_info

_SOURCE = "predicted"
TITLE = """\
Which action is it? So many of 100 clips are named rightly. The model is not given the animal: it
recognises it by its description."""
# What is asked in plain words, the question, and the source of the animals.
_ROWS = (
    ("animals doing what they did in training", "seen pairs", _SOURCE),
    ("the same, but the frames of each clip shuffled", "seen pairs", _SOURCE + SHUFFLED),
    ("the same, in landscapes that went with other actions", "shifted background", _SOURCE),
    ("animals doing what only others did in training", "unseen pairs", _SOURCE),
    ("animals that training never showed", "unseen animals", _SOURCE),
    ("an action that the model has only read about", NEW_ACTION, _SOURCE),
)


def table(right: Right, num_actions: int, num_actions_with_new: int) -> str:
    """A line a question, for a person who knows animals.

    Args:
        right: which clips the model was right about.
        num_actions: that it chooses from; with the new ones, where it is asked for these.
    """
    rows = []
    for words, question, source in _ROWS:
        clips = list(right[question][source].values())
        share = sum(clips) / len(clips)
        low, high = wilson(share, len(clips))
        choices = num_actions_with_new if question == NEW_ACTION else num_actions
        rows.append(
            {
                "clips": words,
                "right": f"{100 * share:.0f} %",
                "95 % interval": f"{100 * low:.0f} to {100 * high:.0f}",
                "by guessing": f"{100 / choices:.0f} %",
            }
        )
    return format_table(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Tests the model on the new action, and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tour", description=__doc__)
    parser.add_argument("--run", required=True, help="the demo's trained model")
    parser.add_argument("--new_action", required=True, help="converted videos with a new action")
    parser.add_argument("--new_texts", required=True, help="folder of their descriptions")
    options = parser.parse_args(arguments)
    try:
        config = TrainedRun.open(options.run).config
        places = map(os.path.abspath, (options.new_action, options.new_texts))
        new = for_new_action(config, *places)
        right = right_of(options.run, config, new)
        numbers = [len(load_info(each.data.directory).action_names) for each in (config, new)]
        print(f"\n{TITLE}\n\n{table(right, *numbers)}")
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
