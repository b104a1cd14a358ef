"""What the demo's model is able to, in a few lines: the end of `make demo`.

    python -m benchmarks.tour --run=runs/demo/run --new_action=runs/demo/unseen_action \
      --new_texts=runs/demo/world/unseen_action/descriptions
"""

import argparse
import os
import sys
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(
        "",
        usage="--run=RUN --new_action=DATA --new_texts=DIR",
        summary="What the demo's model is able to, in a few lines.",
        examples=("make demo",),
    )
    parser.prog = "python -m benchmarks.tour"
    add = parser.add_argument
    add("--run", required=True, help="the demo's trained model")
    add("--new_action", metavar="DATA", required=True, help="converted videos with a new action")
    add("--new_texts", metavar="DIR", required=True, help="their descriptions")
    return command_line.run(lambda: _tour(parser.parse(arguments)))


def _tour(options: argparse.Namespace) -> None:
    """Tests the model on the new action, and prints the table."""
    config = TrainedRun.open(options.run).config
    new = for_new_action(config, *map(os.path.abspath, (options.new_action, options.new_texts)))
    right = right_of(options.run, config, new)
    numbers = [len(load_info(each.data.directory).action_names) for each in (config, new)]
    print(f"\n{TITLE}\n\n{table(right, *numbers)}")


if __name__ == "__main__":
    sys.exit(main())
