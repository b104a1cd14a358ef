"""Splits of clips that have none: by recording, of every action about the same share."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Collection, Sequence

from animal_clip_jax.command_line import did_you_mean
from animal_clip_jax.errors import UserError, quoted, shortened
from data_pipeline.annotations.record import Annotations, Clip
from data_pipeline.held_out import held_out

TRAIN, VALIDATION, TEST = "train", "val", "test"


@dataclasses.dataclass(frozen=True)
class Shares:
    """Which clips are not trained on.

    Attributes:
        test: share of the clips of every action that a model is tested on, in [0, 1).
        validation: share that a model is chosen on.
        animals: all clips with one of these are tested on, and no others.
    """

    test: float = 0.0
    validation: float = 0.0
    animals: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.test or self.validation or self.animals)


NO_SHARES = Shares()


def with_splits(annotations: Annotations, shares: Shares) -> Annotations:
    """The annotations with their clips dealt out.

    All clips of a recording go into one split. Every action that is in two recordings or more has
    clips to test on, unless another would lose its last ones to train on. Which recordings they are
    depends on a hash of their paths, not on the order of the clips.

    Args:
        annotations: with all clips in the split "train".
        shares: what is asked for.

    Raises:
        UserError: there are splits already, a share is none, an animal is unknown, no recording can
            be spared, or nothing would be left to train on.
    """
    _check(annotations, shares)
    recordings: dict[str, list[Clip]] = {}
    for clip in annotations.clips:
        recordings.setdefault(clip.path, []).append(clip)
    notes = []
    if shares.animals:
        unseen = frozenset(shares.animals)
        test = {
            path
            for path, clips in recordings.items()
            if any(unseen.intersection(clip.animals) for clip in clips)
        }
        others = sum(unseen.isdisjoint(clip.animals) for path in test for clip in recordings[path])
        if others:
            notes.append(
                f"{_counted(others, 'clip')} of other animals tested on too: the recordings show "
                "held-out animals as well"
            )
    else:
        test = _chosen(recordings, recordings, shares.test, "test")
    rest = recordings.keys() - test
    validation = _chosen(recordings, rest, shares.validation / (1 - shares.test), "validation")
    if not rest - validation:
        raise UserError(
            f"no clip would be left to train on: all {len(recordings)} recordings would be in "
            "another split"
        )
    split_of = dict.fromkeys(recordings, TRAIN)
    split_of |= dict.fromkeys(test, TEST) | dict.fromkeys(validation, VALIDATION)
    clips = tuple(
        dataclasses.replace(clip, split=split_of[clip.path]) for clip in annotations.clips
    )
    notes.append(_said(clips, split_of))
    if shares.test:
        tested = {name for clip in clips if clip.split == TEST for name in clip.actions}
        names = [name for name in annotations.action_names if name not in tested]
        if names:
            notes.append(
                f"not tested, since too few recordings show it: {shortened(', '.join(names))}"
            )
    return dataclasses.replace(annotations, clips=clips, notes=(*annotations.notes, *notes))


def advice(annotations: Annotations) -> tuple[str, ...]:
    """What a person should know of the splits and labels of footage of their own."""
    several = sum(len(clip.actions) > 1 for clip in annotations.clips)
    notes = [
        f"{several} of {len(annotations.clips)} clips have several actions: scored by mAP; "
        "configs/own_footage.py trains with binary_cross_entropy"
        if several
        else "each clip has one action: scored by top-1 accuracy; configs/own_footage.py trains "
        "with cross_entropy"
    ]
    if {clip.split for clip in annotations.clips} == {TRAIN}:
        notes.append(
            "all clips are in the split 'train', and a training needs some to test on: "
            "--test_share=0.2 takes a fifth of the recordings"
        )
    return tuple(notes)


def names_of(text: str) -> tuple[str, ...]:
    """The names in a flag, separated by `,`, or by `;` if there is one."""
    between = ";" if ";" in text else ","
    return tuple(name.strip() for name in text.split(between) if name.strip())


def _check(annotations: Annotations, shares: Shares) -> None:
    for flag, share in (("test", shares.test), ("validation", shares.validation)):
        if not 0 <= share < 1:
            raise UserError(f"--{flag}_share is {share}; expected a share from 0 to below 1")
    if shares.test + shares.validation >= 1:
        raise UserError(
            f"--test_share and --validation_share are {shares.test} and {shares.validation}; "
            "together they leave nothing to train on"
        )
    if shares.test and shares.animals:
        raise UserError(
            "--test_share and --held_out_animals both say what is tested on; give one of them"
        )
    found = Counter(clip.split for clip in annotations.clips)
    if found.keys() != {TRAIN}:
        counts = ", ".join(f"{split}: {count}" for split, count in found.items())
        raise UserError(
            f"the annotations have splits already ({shortened(counts)}); leave --test_share, "
            "--validation_share and --held_out_animals out, or the splits"
        )
    for name in shares.animals:
        if name not in annotations.animal_names:
            raise UserError(
                f"--held_out_animals: there is no animal {quoted(name)}"
                f"{did_you_mean(name, annotations.animal_names)}"
            )


def _chosen(
    recordings: dict[str, list[Clip]], among: Collection[str], share: float, what: str
) -> set[str]:
    """Recordings that give a share of the clips of every action; raises UserError if none does."""
    if not share:
        return set()
    paths = sorted(among)
    counts = [Counter(name for clip in recordings[path] for name in clip.actions) for path in paths]
    digests = [hashlib.sha256(path.encode()).digest() for path in paths]
    chosen = {paths[number] for number in held_out(counts, digests, share, least=1)}
    if not chosen:
        raise UserError(
            f"--{what}_share: none of the {len(paths)} recordings can be spared, since each shows "
            "an action that training would lose with it; add recordings, or say in a column "
            "'split' which of them to take"
        )
    return chosen


def _said(clips: Sequence[Clip], split_of: dict[str, str]) -> str:
    recordings, of_clips = Counter(split_of.values()), Counter(clip.split for clip in clips)
    return "splits by recording: " + "; ".join(
        f"{split}: {_counted(of_clips[split], 'clip')} of "
        f"{_counted(recordings[split], 'recording')}"
        for split in (TRAIN, VALIDATION, TEST)
        if recordings[split]
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
