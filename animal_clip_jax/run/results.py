"""The result of an evaluation: what it was made of, as tables and as a folder of files."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from animal_clip_jax.errors import UserError
from animal_clip_jax.evaluation.intervals import wilson
from animal_clip_jax.files import read_json_object, write_whole
from animal_clip_jax.models.animal_sources import IN_WORDS, RECOGNISED, recognised_of
from animal_clip_jax.run.config import Selection
from animal_clip_jax.run.data import ClipSet
from animal_clip_jax.run.evaluator import Result, SourceResult
from animal_clip_jax.run.figure_text import folded, interval, number_of_clips, percent
from animal_clip_jax.run.group_results import group_rows, group_table
from animal_clip_jax.tables import format_columns, format_table
from animal_clip_jax.whole_outputs import current, replacing
from data_pipeline.long_tail import HEAD_CLIPS, TAIL_CLIPS

FOLDER = "evaluations"
METRICS_FILE, PER_CLASS_FILE, REPORT_FILE = "metrics.json", "per_class.csv", "report.txt"
PER_CLIP_FILE, PER_GROUP_FILE, PAGE_FILE = "per_clip.csv", "per_group.csv", "report.html"
_FILE_WIDTH = 100
# What a person looks at: the heading of a column, the figure in it, and its number of clips.
SINGLE_LABEL = (
    ("all", "top1", "clips"),
    ("seen pairs", "top1_seen_pairs", "clips_seen_pairs"),
    ("unseen pairs", "top1_unseen_pairs", "clips_unseen_pairs"),
    ("unseen animals", "top1_unseen_animals", "clips_unseen_animals"),
)
MULTI_LABEL = (
    ("mAP", "mAP", "clips"),
    ("head", "mAP_head", "clips_head"),
    ("middle", "mAP_middle", "clips_middle"),
    ("tail", "mAP_tail", "clips_tail"),
)
NOVELTY_IN_WORDS = (
    "Seen pairs: training has clips of this animal doing this. Unseen pairs: only of\n"
    "it doing other things. Unseen animals: none of it. Chance: a random guess."
)


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
    segments_source: str = "",
) -> dict[str, Any]:
    """What a result was made of: which data, clips, views, vocabulary and checkpoint.

    Args:
        config: it was evaluated with.
        step, checkpoint: of the parameters, and how they were asked for: "latest" or "best".
        selection: how the run chooses its best checkpoint.
        recogniser_digest: of the model that recognised animals, "" if none did.
        segments_source: which file of the data says what is head, middle and tail; "" if that goes
            by training clips.
    """
    options = config.evaluation
    recognised = recognised_of(options.animal_sources)
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
        # Not where it is empty, or results of older versions would have other names than now.
        **({"segments_source": segments_source} if segments_source else {}),
    }


def name_of(source: Mapping[str, Any]) -> str:
    """The folder's name for a result: the same for the same provenance, and for no other.

    Where the data lies does not matter.
    """
    parts = {key: value for key, value in source.items() if key != "data_directory"}
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    views = f"{source['temporal_views']}x{source['crops']}"
    return f"{source['clip_set']}-step{source['step']}-{views}-{digest[:8]}"


def write(
    workdir: epath.Path,
    source: Mapping[str, Any],
    result: Result,
    *,
    multi_label: bool,
    page: str = "",
) -> epath.Path:
    """Writes a result into a folder of its own: metrics.json, per_class.csv, per_clip.csv,
    report.txt, per_group.csv if clips have groups, and report.html if there is a page.

    One that is there stays until this one is whole.

    Args:
        workdir: the run's.
        source: see `provenance`.
        page: see `evaluation_report`; "" for none.

    Returns:
        the folder.

    Raises:
        UserError: it cannot be written; or another process writes it.
    """
    folder = folder_of(workdir, source)
    grouped = _of_parts(result, lambda part: group_rows(part.figures, multi_label=multi_label))
    content = {**source, "metrics": result.figures()}
    files = {
        PER_CLASS_FILE: as_csv(_of_parts(result, lambda part: part.per_class)),
        PER_CLIP_FILE: as_csv(_of_parts(result, lambda part: part.per_clip)),
        REPORT_FILE: report(source, result, multi_label=multi_label) + "\n",
        **({PER_GROUP_FILE: as_csv(grouped)} if grouped else {}),
        **({PAGE_FILE: page} if page else {}),
        METRICS_FILE: json.dumps(content, indent=2) + "\n",
    }
    with replacing(folder) as new:
        new.mkdir()
        for name, text in files.items():
            write_whole(new / name, text)
    return folder


def _of_parts(
    result: Result, rows_of: Callable[[SourceResult], Sequence[Mapping[str, object]]]
) -> list[dict[str, Any]]:
    """The rows of all parts of a result, each with the part that it is of."""
    return [
        {"animals_from": part.source, "frames": "shuffled" if part.is_shuffled else "in order"}
        | dict(row)
        for part in result.by_source
        for row in rows_of(part)
    ]


def folder_of(workdir: epath.Path, source: Mapping[str, Any]) -> epath.Path:
    """Where a result is written.

    Args:
        workdir: the run's.
        source: see `provenance`.
    """
    return workdir / FOLDER / name_of(source)


def read(folder: epath.Path) -> dict[str, Any]:
    """What `metrics.json` of a result's folder holds: its provenance, and its "metrics".

    Raises:
        UserError: it is damaged; names it.
    """
    path = current(folder) / METRICS_FILE
    try:
        content = read_json_object(path)
        return {**content, "metrics": dict(content["metrics"])}
    except UserError as error:
        raise UserError(f"{error}; remove its folder to evaluate again") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error!r}; remove its folder to evaluate again") from (
            error
        )


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
    """What `report.txt` holds: the short table, and one of every figure.

    Args:
        source: see `provenance`.
    """
    short = summary(source, result.figures(), multi_label=multi_label, width=_FILE_WIDTH)
    columns = {
        f"{part.source}{' shuffled' if part.is_shuffled else ''}": {**part.figures}
        for part in result.by_source
    }
    for animal_source, recognised in result.recognition.items():
        columns[animal_source] |= recognised
    names = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    rows = [
        {"metric": name, **{column: figures.get(name) for column, figures in columns.items()}}
        for name in names
    ]
    words = ", ".join(f"{name} ({IN_WORDS[name]})" for name in source["animal_sources"])
    explained = f"Every figure, a column for each source of the animals: {words}"
    if multi_label:
        explained += "\n_error: standard error, of a bootstrap over clips"
    else:
        explained += f"\n{segments_in_words(source)}"
    explained += "\nWhat each figure is: the program's documentation, Results"
    return "\n\n".join([short, format_table(rows, title=explained)])


def summary(
    source: Mapping[str, Any], figures: Mapping[str, float], *, multi_label: bool, width: int
) -> str:
    """The one short table that a person looks at, in percent and with 95 % intervals.

    Args:
        source: see `provenance`.
        figures: see `Result.figures`.
        width: of the screen; where a row is longer, intervals have lines of their own.
    """
    heads, rows = headline_cells(source, figures, multi_label=multi_label)
    labels = 2 if source["shuffle_frames"] else 1
    table = format_columns([*heads, *rows], labels=labels)
    if max(map(len, table.splitlines())) > width:
        table = format_columns(
            [*heads, *(line for row in rows for line in folded(row))], labels=labels
        )
    first = _figures_of(figures, source["animal_sources"][0], False)
    what = "Mean average precision" if multi_label else "Top-1 accuracy"
    has_intervals = not multi_label or "mAP_error" in first
    lines = [
        title(source, first["clips"]),
        f"{what} in %{', with 95 % intervals' if has_intervals else ''}:\n\n{table}",
    ]
    if len(heads[0]) > labels + 1:
        lines.append(segments_in_words(source) if multi_label else NOVELTY_IN_WORDS)
    in_order = {name: _figures_of(figures, name, False) for name in source["animal_sources"]}
    groups = group_table(in_order, multi_label=multi_label, width=width)
    if groups:
        lines.append(groups)
    lines += _recognition_lines(figures)
    return "\n\n".join(lines)


def headline_cells(
    source: Mapping[str, Any], figures: Mapping[str, float], *, multi_label: bool
) -> tuple[list[list[str]], list[list[str]]]:
    """The cells of the table that a person looks at, in percent and with 95 % intervals.

    Args:
        source: see `provenance`.
        figures: see `Result.figures`.

    Returns:
        two rows of heads: what a column is, and its number of clips; and a row for each source of
        the animals, shuffled frames after in order, and one of chance.
    """
    parts = [
        (name, is_shuffled)
        for name in source["animal_sources"]
        for is_shuffled in ((False, True) if source["shuffle_frames"] else (False,))
    ]
    own = {part: _figures_of(figures, *part) for part in parts}
    first = own[parts[0]]
    columns = [
        column for column in (MULTI_LABEL if multi_label else SINGLE_LABEL) if column[1] in first
    ]
    heads = [
        ["animals", *(["frames"] if source["shuffle_frames"] else [])],
        [""] * (2 if source["shuffle_frames"] else 1),
    ]
    labels = len(heads[0])
    for label, _, clips in columns:
        heads[0].append(label)
        heads[1].append(number_of_clips(first[clips]) if clips in first else "")
    rows = []
    for (name, is_shuffled), found in own.items():
        words = [IN_WORDS[name], "shuffled" if is_shuffled else "in order"][:labels]
        rows.append(words + [_cell(found, column, multi_label) for column in columns])
    guess = "chance_mAP" if multi_label else "chance"
    chance = [f"{100 * first[guess]:.1f}" if guess in first else ""]
    chance = chance + [""] * (len(columns) - 1) if multi_label else chance * len(columns)
    rows.append([*["chance", ""][:labels], *chance])
    return heads, rows


def segments_in_words(source: Mapping[str, Any]) -> str:
    """By what classes are called head, middle and tail."""
    official = source.get("segments_source")
    if official:
        return f"Head, middle, tail: as {official} has them."
    return (
        f"Head, middle, tail: by training clips; head has at least {HEAD_CLIPS}, tail fewer than "
        f"{TAIL_CLIPS}."
    )


def _figures_of(figures: Mapping[str, float], source: str, is_shuffled: bool) -> dict[str, Any]:
    beginning = f"{source}/{'shuffled_' if is_shuffled else ''}"
    return {
        name.removeprefix(beginning): value
        for name, value in figures.items()
        if name.startswith(beginning)
    }


def _cell(found: Mapping[str, Any], column: tuple[str, str, str], multi_label: bool) -> str:
    _, name, clips = column
    if name not in found:
        return ""
    number = int(found.get(clips, found["clips"]))
    return percent(found[name], number, interval(found, name, number, multi_label=multi_label))


def _recognition_lines(figures: Mapping[str, float]) -> list[str]:
    right = [
        f"{IN_WORDS[source]} {100 * figures[f'{source}/animals_top1']:.0f} %"
        for source in RECOGNISED
        if f"{source}/animals_top1" in figures
    ]
    return [f"Clips whose animal is recognised: {', '.join(right)}."] if right else []


def title(source: Mapping[str, Any], clips: float) -> str:
    """What was evaluated, in two lines."""
    how = {
        "none": "",
        "validation": "; the best one is chosen on validation clips",
        "test_as_published": "; the best one is chosen on the test split, as published",
    }[source["best_checkpoint_chosen_on"]]
    views = source["temporal_views"] * source["crops"]
    each = "in one view" if views == 1 else f"in {views} views each"
    return (
        f"{source['data']}, {source['clip_set']}: {number_of_clips(clips)}, {each}\n"
        f"{source['checkpoint']} checkpoint, of step {source['step']}{how}"
    )


def headline(figures: Mapping[str, float], *, multi_label: bool) -> str:
    """The figure that matters most: "top-1 92.8 % (89.4–95.2)"."""
    clips = int(figures["clips"])
    if multi_label:
        return f"mAP {percent(figures['mAP'], clips)} %"
    top1 = figures["top1"]
    figure, _, bounds = percent(top1, clips, wilson(top1, clips)).partition(" ")
    return f"top-1 {figure} % {bounds}"


def curves(figures: Mapping[str, float], *, multi_label: bool) -> dict[str, float]:
    """The figures that a person follows over a training, by their names."""
    columns = MULTI_LABEL if multi_label else SINGLE_LABEL
    return {name: figures[name] for _, name, _ in columns if name in figures}
