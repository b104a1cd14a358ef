"""How good the scores are within groups of clips, such as those of one group of animals.

A protocol for unseen animals names the groups that training did not show; its figure is that of
every group, and their mean. The arrays are those of `metrics`.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from animal_clip_jax.evaluation.checks import checked_scores_and_targets, require_shape
from animal_clip_jax.evaluation.intervals import mean_ap_error
from animal_clip_jax.evaluation.metrics import mean_average_precision, top_k_accuracy

# Before the name of a group: the figure, and the number of its clips.
CLIPS = "clips_group_"


def metric_name(multi_label: bool) -> str:
    """What is computed of a group: "mAP", or "top1" for a single label."""
    return "mAP" if multi_label else "top1"


def group_figures(
    scores: ArrayLike, targets: ArrayLike, groups: Sequence[str], *, multi_label: bool
) -> dict[str, float]:
    """The headline metric of each group, and its mean over the groups.

    Args:
        scores: (n, C).
        targets: multi-hot (n, C); every clip has a label.
        groups: (n), the group of each clip; clips of the group "" are left out.
        multi_label: whether it is the mAP over the classes with a positive clip in the group, or
            else the top-1 accuracy.

    Returns:
        `top1_per_group`, the mean over groups, and `top1_group_NAME` and `clips_group_NAME` (int)
        of each, in the order of their clips, most first; or the same with `mAP`. Nothing if no
        clip has a group.

    Raises:
        ValueError: shapes that disagree, or scores that are not finite numbers.
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    name = metric_name(multi_label)

    def metric(inside: np.ndarray) -> float:
        if multi_label:
            return mean_average_precision(scores[inside], targets[inside])
        return top_k_accuracy(scores[inside], targets[inside], k=1)

    found = _of_each(groups, len(scores), metric)
    if not found:
        return {}
    figures: dict[str, float] = {
        f"{name}_per_group": float(np.mean([value for value, _ in found.values()]))
    }
    for group, (value, clips) in found.items():
        figures |= {f"{name}_group_{group}": value, f"{CLIPS}{group}": clips}
    return figures


def group_mean_ap_errors(
    scores: ArrayLike, targets: ArrayLike, groups: Sequence[str]
) -> dict[str, float]:
    """Standard errors of the mAP of each group, and of their mean.

    That of the mean takes the groups for independent, as they share no clip.

    Args:
        scores, targets, groups: as in `group_figures`.

    Returns:
        `mAP_per_group_error`, and `mAP_group_NAME_error` of each; nothing if no clip has a group.

    Raises:
        ValueError: as there.
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    found = _of_each(
        groups, len(scores), lambda inside: mean_ap_error(scores[inside], targets[inside])
    )
    if not found:
        return {}
    errors = {f"mAP_group_{group}_error": error for group, (error, _) in found.items()}
    of_mean = float(np.sqrt(np.sum(np.square(list(errors.values()))))) / len(errors)
    return {"mAP_per_group_error": of_mean} | errors


def _of_each(
    groups: Sequence[str], clips: int, metric: Callable[[np.ndarray], float]
) -> dict[str, tuple[float, int]]:
    """Group -> (metric, clips), most clips first."""
    of_clip = np.asarray(groups, dtype=str)
    require_shape("groups", of_clip, (clips,), "one a clip")
    names, counts = np.unique(of_clip[of_clip != ""], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {
        str(names[place]): (metric(of_clip == names[place]), int(counts[place])) for place in order
    }
