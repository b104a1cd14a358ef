"""The result of an evaluation: what it was made of, as tables and as a folder of files."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from animal_clip_jax.files import write_whole
from animal_clip_jax.models.animal_sources import RECOGNISED
from animal_clip_jax.run.config import Selection
from animal_clip_jax.run.data import ClipSet
from animal_clip_jax.run.evaluator import Result
from animal_clip_jax.tables import format_table

FOLDER = "evaluations"
METRICS_FILE, PER_CLASS_FILE, REPORT_FILE = "metrics.json", "per_class.csv", "report.txt"
NOVELTY = {
    "top1_seen_pairs": "seen pairs",
    "top1_unseen_pairs": "unseen pairs",
    "top1_unseen_animals": "unseen animals",
}


def provenance(
    config: ConfigDict,
    clips: ClipSet,
    *,
    data_name: str,
    data_digest: str,
    step: int,
    checkpoint: str,
    selection: Selection,
    recogniser_digest: str = "",
) -> dict[str, Any]:
    """What a result was made of: which data, clips, views, vocabulary and checkpoint.

    Args:
        config: it was evaluated with.
        step, checkpoint: of the parameters, and how they were asked for: "latest" or "best".
        selection: how the run chooses its best checkpoint.
        recogniser_digest: of the model that recognised animals, "" if none did.
    """
    options = config.evaluation
    recognised = set(options.animal_sources) & set(RECOGNISED)
    animals = {"names": config.animals.prompts} | {
        name: config.animals[name] for name in ("num_frames", "temperature", "top_k", "head_l2")
    }
    labels = {
        "actions": config.prompts.actions,
        "animals": config.prompts.animals,
        "relation": config.relation.file,
    }
    return {
        "data": data_name,
        "data_directory": config.data.directory,
        "data_sha256": data_digest,
        "split": clips.split,
        "clip_set": clips.name,
        "temporal_views": options.temporal_views,
        "crops": options.crops,
        "scores": options.scores,
        "animal_sources": list(options.animal_sources),
        "recogniser_sha256": recogniser_digest,
        "recognition": animals if recognised else {},
        "shuffle_frames": options.shuffle_frames,
        "vocabulary": "of the data" if options.open_vocabulary else "of the training",
        "texts": labels if options.open_vocabulary else {},
        "step": step,
        "checkpoint": checkpoint,
        "best_checkpoint_chosen_on": selection.on,
    }


def name_of(source: Mapping[str, Any]) -> str:
    """The folder's name for a result: the same for the same provenance, and for no other.

    Where the data lies does not matter.
    """
    parts = {key: value for key, value in source.items() if key != "data_directory"}
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    views = f"{source['temporal_views']}x{source['crops']}"
    return f"{source['clip_set']}-step{source['step']}-{views}-{digest[:8]}"


def write(workdir: epath.Path, source: Mapping[str, Any], result: Result, text: str) -> epath.Path:
    """Writes a result into a folder of its own: metrics.json, per_class.csv, report.txt.

    Args:
        workdir: the run's.
        source: see `provenance`.
        text: see `report`.

    Returns:
        the folder.

    Raises:
        UserError: it cannot be written.
    """
    folder = workdir / FOLDER / name_of(source)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"animals_from": part.source, "frames": "shuffled" if part.is_shuffled else "in order"}
        | row
        for part in result.by_source
        for row in part.per_class
    ]
    write_whole(folder / PER_CLASS_FILE, as_csv(rows))
    write_whole(folder / REPORT_FILE, text + "\n")
    content = {**source, "metrics": result.figures()}
    write_whole(folder / METRICS_FILE, json.dumps(content, indent=2) + "\n")
    return folder


def as_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows of the same columns as CSV with a header; None is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: f"{value:.6f}" if isinstance(value, float) else value for name, value in row.items()}
        for row in rows
    )
    return text.getvalue()


def report(source: Mapping[str, Any], result: Result, *, multi_label: bool) -> str:
    """The tables that a person reads.

    Args:
        source: see `provenance`.
    """
    in_order = [part for part in result.by_source if not part.is_shuffled]
    names = list(dict.fromkeys(name for part in in_order for name in part.figures))
    columns = {part.source: {**part.figures} for part in in_order}
    for animal_source, recognised in result.recognition.items():
        columns[animal_source] |= recognised
        names += [name for name in recognised if name not in names]
    rows = [
        {"metric": name, **{column: figures.get(name) for column, figures in columns.items()}}
        for name in names
    ]
    tables = [format_table(rows, title=title(source, in_order[0].figures["clips"]))]
    if not multi_label:
        novelty = [
            {
                "top-1": f"animals from: {part.source}, frames "
                f"{'shuffled' if part.is_shuffled else 'in order'}",
                "all": part.figures["top1"],
                **{
                    label: part.figures[name]
                    for name, label in NOVELTY.items()
                    if name in part.figures
                },
            }
            for part in result.by_source
        ]
        chance = dict.fromkeys(list(novelty[0])[1:], in_order[-1].figures["chance"])
        tables.append(format_table([*novelty, {"top-1": "chance", **chance}]))
    return "\n\n".join(tables)


def title(source: Mapping[str, Any], clips: float) -> str:
    """What was evaluated, in two lines."""
    chosen = source["best_checkpoint_chosen_on"]
    how = {
        "none": "no best checkpoint is chosen",
        "validation": "the best checkpoint is chosen on validation clips",
        "test_as_published": "the best checkpoint is chosen on the test split, as published",
    }[chosen]
    return (
        f"{source['data']}, {source['clip_set']}: {clips} clips, {source['temporal_views']} × "
        f"{source['crops']} views; a column for each source of the animals\n"
        f"{source['checkpoint']} checkpoint, of step {source['step']}; {how}"
    )


def headline(summary: Mapping[str, float], *, multi_label: bool) -> str:
    """The figures that matter most, on one line."""
    names = ["mAP"] if multi_label else ["top1", *NOVELTY]
    return "  ".join(f"{name} {summary[name]:.3f}" for name in names if name in summary)
