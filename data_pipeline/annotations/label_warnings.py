"""What about the labels of a dataset is probably not meant."""

from collections.abc import Iterator

from animal_clip_jax.errors import quoted, shortened
from data_pipeline.annotations.record import Annotations
from data_pipeline.dataset_files import TRAIN_SPLIT
from data_pipeline.names import similar_names

MOST_WARNINGS = 20
MOST_NAMES = 10


def label_warnings(annotations: Annotations) -> Iterator[str]:
    """Yields a line for names that look like one and are classes of their own, and for classes that
    a model is not trained on."""
    for kind, names in (
        ("actions", annotations.action_names),
        ("animals", annotations.animal_names),
    ):
        groups = similar_names(names)
        for group in groups[:MOST_WARNINGS]:
            shown = ", ".join(map(quoted, group[:MOST_NAMES]))
            yield (
                f"the {kind} {shown} look like one, and each is a class of its own; "
                "--merge_labels=FILE makes one of them"
            )
        if len(groups) > MOST_WARNINGS:
            yield f"and {len(groups) - MOST_WARNINGS} more of such {kind}"
        trained = {
            name
            for clip in annotations.clips
            if clip.split == TRAIN_SPLIT
            for name in getattr(clip, kind)
        }
        missing = [name for name in names if name not in trained]
        if missing and trained:
            yield (
                f"{len(missing)} of {len(names)} {kind} are in no training clip: "
                f"{shortened(', '.join(map(repr, missing)))}"
            )
