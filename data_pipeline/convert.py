"""Videos and annotations -> TFRecord shards.

    python -m data_pipeline.convert --dataset=lote_animal --source=LoTE --output=lote_tfrecord

A conversion that was interrupted goes on when the same command is run again. Of one that is
complete, shards are written anew that are missing or cut short, or lack a video mended since.
`data_pipeline.dataset` says which files the output holds.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from animal_clip_jax.errors import UserError
from data_pipeline.annotations.datasets import READERS, read_annotations
from data_pipeline.conversion.dataset_writer import ConversionError, Options, convert


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m data_pipeline.convert",
        description="Videos and annotations -> TFRecord shards. Run again to go on.",
    )
    parser.add_argument("--dataset", required=True, choices=tuple(READERS))
    parser.add_argument("--source", required=True, help="the official files, or a CSV")
    parser.add_argument("--output", required=True, help="folder for the shards")
    parser.add_argument("--short_side", type=int, default=Options.short_side, help="in pixels")
    parser.add_argument(
        "--max_frames", type=int, default=Options.max_frames, help="stored of a clip; 0 is all"
    )
    parser.add_argument("--clips_per_shard", type=int, default=Options.clips_per_shard)
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes that decode"
    )
    parser.add_argument(
        "--max_failures", type=int, default=0, help="clips that may have no usable video"
    )
    parser.add_argument("--action_labels", help="CSV of id,name: order of the actions")
    parser.add_argument("--animal_labels", help="CSV of id,name: order of the animals")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parsed = _parse_arguments(arguments)
    try:
        if parsed.workers < 1:
            raise ConversionError(f"--workers is {parsed.workers}; at least 1 is needed")
        splits = convert(
            parsed.dataset,
            read_annotations(
                parsed.dataset,
                parsed.source,
                action_labels=parsed.action_labels,
                animal_labels=parsed.animal_labels,
            ),
            parsed.output,
            options=Options(parsed.short_side, parsed.max_frames, parsed.clips_per_shard),
            workers=parsed.workers,
            max_failures=parsed.max_failures,
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run again to go on", file=sys.stderr)
        return 130
    print(", ".join(f"{split}: {count} clips" for split, count in splits.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
