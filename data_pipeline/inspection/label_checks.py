"""Checks that need the annotations alone: splits, labels, names."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from data_pipeline.annotations.record import Annotations, Clip
from data_pipeline.dataset_files import TRAIN_SPLIT
from data_pipeline.inspection.finding import Finding, Row, count, note, problem
from data_pipeline.inspection.odd_names import odd_names
from data_pipeline.inspection.subject import Subject

# A clip is sampled at 8 frames by the published configurations.
FEW_FRAMES = 8
KINDS = ("action", "animal")


def label_counts(clips: Sequence[Clip], kind: str) -> Counter[tuple[str, str]]:
    """Clips by (split, name).

    Args:
        clips: of all splits.
        kind: "action" or "animal".
    """
    return Counter(
        (clip.split, name)
        for clip in clips
        for name in (clip.actions if kind == "action" else clip.animals)
    )


def check_labels(subject: Subject) -> list[Finding]:
    """All that the annotations say of themselves, in the order of the checks."""
    annotations = subject.annotations
    found = [
        *_splits(subject),
        *_labels_without_clips(subject),
        *_recordings_in_two_splits(annotations.clips),
        *_disagreements(subject),
        *_odd(annotations),
        *_unseen_animals(subject),
        *_unseen_pairs(subject),
        *_no_animals(annotations),
        *_repairs(subject),
    ]
    if annotations.notes:
        rows: list[Row] = [{"note": text} for text in annotations.notes]
        found.append(note("notes", f"{count(len(rows), 'remark')} of the reading", rows))
    return found


def _splits(subject: Subject) -> list[Finding]:
    splits = subject.splits
    if TRAIN_SPLIT not in splits:
        return [problem("splits", f"there is no split {TRAIN_SPLIT!r}, only {', '.join(splits)}")]
    if len(splits) == 1:
        return [problem("splits", "all clips are in 'train': none is left to test on")]
    return []


def _labels_without_clips(subject: Subject) -> list[Finding]:
    annotations, splits = subject.annotations, subject.splits
    found = []
    for kind in KINDS:
        names = annotations.action_names if kind == "action" else annotations.animal_names
        counts = label_counts(annotations.clips, kind)
        never = [name for name in names if not any(counts[split, name] for split in splits)]
        untrained = [name for name in names if not counts[TRAIN_SPLIT, name] and name not in never]
        if never:
            found.append(
                note(
                    f"{kind}s_without_clips",
                    f"{count(len(never), kind)} of {len(names)} without any clip",
                    [{kind: name} for name in never],
                )
            )
        if kind == "action" and untrained and TRAIN_SPLIT in splits:
            rows: list[Row] = [
                {kind: name, **{split: counts[split, name] for split in splits}}
                for name in untrained
            ]
            summary = f"{count(len(untrained), kind)} of {len(names)} without a training clip"
            found.append(problem("actions_without_training_clips", summary, rows))
        for split in splits:
            if split == TRAIN_SPLIT:
                continue
            absent = [
                name for name in names if not counts[split, name] and counts[TRAIN_SPLIT, name]
            ]
            if absent:
                found.append(
                    note(
                        f"{kind}s_not_in_{split}",
                        f"{count(len(absent), kind)} of {len(names)} with training clips and none "
                        f"in {split!r}",
                        [{kind: name, TRAIN_SPLIT: counts[TRAIN_SPLIT, name]} for name in absent],
                    )
                )
    return found


def _recordings_in_two_splits(clips: Sequence[Clip]) -> list[Finding]:
    """Bouts of one recording that are in several splits: a model would be tested on its scenes."""
    splits: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        splits[clip.path][clip.split] += 1
    shared = {path: counts for path, counts in splits.items() if len(counts) > 1}
    if not shared:
        return []
    rows = [
        {"video": path, "clips": ", ".join(f"{split} {n}" for split, n in counts.items())}
        for path, counts in shared.items()
    ]
    summary = f"{count(len(shared), 'recording')} with bouts in several splits"
    return [problem("recordings_in_two_splits", summary, rows)]


def _disagreements(subject: Subject) -> list[Finding]:
    """Clips whose actions are not those of their (animal, action) pairs."""
    if subject.is_converted:
        return []
    rows = []
    for clip in subject.annotations.clips:
        if not clip.performed:
            continue
        of_pairs = dict.fromkeys(action for _, action in clip.performed)
        alone = [name for name in clip.actions if name not in of_pairs]
        missing = [name for name in of_pairs if name not in clip.actions]
        if alone or missing:
            rows.append(
                {
                    "clip": clip.clip_id,
                    "split": clip.split,
                    "only among its actions": ", ".join(alone),
                    "only in its pairs": ", ".join(missing),
                }
            )
    if not rows:
        return []
    summary = f"{count(len(rows), 'clip')} whose actions are not those of its pairs"
    return [problem("actions_and_pairs_disagree", summary, rows)]


def _odd(annotations: Annotations) -> list[Finding]:
    rows: list[Row] = [
        {"kind": kind, "name": name, "why": why}
        for kind, names in (
            ("action", annotations.action_names),
            ("animal", annotations.animal_names),
        )
        for name, why in odd_names(names)
    ]
    if not rows:
        return []
    summary = f"{count(len({(row['kind'], row['name']) for row in rows}), 'name')} may be mistyped"
    return [problem("odd_names", summary, rows)]


def _unseen_animals(subject: Subject) -> list[Finding]:
    annotations = subject.annotations
    counts = label_counts(annotations.clips, "animal")
    found = []
    for split in subject.splits:
        if split == TRAIN_SPLIT or TRAIN_SPLIT not in subject.splits:
            continue
        unseen = [
            name
            for name in annotations.animal_names
            if counts[split, name] and not counts[TRAIN_SPLIT, name]
        ]
        there = sum(counts[split, name] > 0 for name in annotations.animal_names)
        if unseen:
            found.append(
                note(
                    f"animals_of_{split}_not_in_training",
                    f"{count(len(unseen), 'animal')} of the {there} in {split!r} without a "
                    "training clip",
                    [{"animal": name, split: counts[split, name]} for name in unseen],
                )
            )
    return found


def _unseen_pairs(subject: Subject) -> list[Finding]:
    annotations, pairs = subject.annotations, subject.training_pairs
    if TRAIN_SPLIT not in subject.splits:
        return []
    actions = {name: number for number, name in enumerate(annotations.action_names)}
    animals = {name: number for number, name in enumerate(annotations.animal_names)}
    found = []
    for split in subject.splits:
        if split == TRAIN_SPLIT:
            continue
        there = Counter(
            (animal, action)
            for clip in annotations.clips
            if clip.split == split
            for animal, action in clip.performed
            if animal in animals and action in actions
        )
        unseen = {pair: n for pair, n in there.items() if not _count(pairs, pair, animals, actions)}
        if unseen:
            summary = (
                f"{count(len(unseen), 'pair')} of animal and action, of the {len(there):,} in "
                f"{split!r}, without a training clip"
            )
            rows: list[Row] = [
                {"animal": animal, "action": action, split: n}
                for (animal, action), n in sorted(unseen.items(), key=lambda item: -item[1])
            ]
            found.append(note(f"pairs_of_{split}_not_in_training", summary, rows))
    return found


def _count(pairs, pair: tuple[str, str], animals: dict[str, int], actions: dict[str, int]) -> int:
    return int(pairs[animals[pair[0]], actions[pair[1]]])


def _no_animals(annotations: Annotations) -> list[Finding]:
    rows = [
        {"clip": clip.clip_id, "split": clip.split}
        for clip in annotations.clips
        if not clip.animals
    ]
    # Data that have no animals at all are meant so.
    if not rows or len(rows) == len(annotations.clips):
        return []
    summary = f"{count(len(rows), 'clip')} of {len(annotations.clips):,} without an animal"
    return [note("clips_without_animals", summary, rows)]


def _repairs(subject: Subject) -> list[Finding]:
    if not subject.repairs:
        return []
    kinds = Counter(subject.repairs)
    rows: list[Row] = [{"kind": kind, "rows": number} for kind, number in kinds.most_common()]
    summary = f"{count(len(subject.repairs), 'row')} of the annotations repaired while reading"
    return [note("repairs", summary, rows)]
