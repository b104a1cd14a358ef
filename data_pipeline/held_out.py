"""Which recordings are held out of training: of every label about the same share of its clips."""

import heapq
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


def held_out(
    recordings: Sequence[Mapping[Any, int]],
    digests: Sequence[bytes],
    share: float,
    *,
    least: int = 0,
) -> set[int]:
    """Chooses recordings, rare labels first, as iterative stratification does.

    Of the n clips of a label, floor(share n + 1/2) are wanted. A recording is held out as a whole,
    and of those of a label the ones go first that bring the fewest clips too many, of any label;
    then those with the smallest digest. So the order of the recordings does not matter, and where
    each has one clip and clips of one label, the number is exact. A recording stays if some label
    would be left without clips to train on, or if the number would be farther off with it.

    Args:
        recordings: how many clips of each label the R recordings have.
        digests: of the recordings, (R), by which they are shuffled.
        share: of the clips of every label, in [0, 1).
        least: of every label in two recordings or more, so many clips at least are wanted.

    Returns:
        the positions of those that are held out.
    """
    clips: Counter[Any] = Counter()
    of_label: dict[Any, list[int]] = {}
    for number, recording in enumerate(recordings):
        for label, count in recording.items():
            clips[label] += count
            of_label.setdefault(label, []).append(number)
    left = {label: len(numbers) for label, numbers in of_label.items()}
    wanted = {
        label: max(math.floor(share * clips[label] + 0.5), least if left[label] > 1 else 0)
        for label in clips
    }
    taken: Counter[Any] = Counter()
    chosen: set[int] = set()

    def too_many(number: int) -> int:
        return sum(
            min(count, max(0, taken[label] + count - wanted[label]))
            for label, count in recordings[number].items()
        )

    for label in sorted(of_label, key=lambda label: (len(of_label[label]), repr(label))):
        # What a recording brings too many only grows, so one that is first again is the first.
        waiting = [
            (too_many(number), digests[number], number)
            for number in of_label[label]
            if number not in chosen
        ]
        heapq.heapify(waiting)
        while waiting and taken[label] < wanted[label]:
            excess, digest, number = heapq.heappop(waiting)
            now = too_many(number)
            if now > excess:
                heapq.heappush(waiting, (now, digest, number))
                continue
            recording = recordings[number]
            missing = wanted[label] - taken[label]
            is_needed = least > 0 and not taken[label]
            if any(left[other] == 1 for other in recording) or (
                recording[label] > 2 * missing and not is_needed
            ):
                continue
            chosen.add(number)
            taken.update(recording)
            for other in recording:
                left[other] -= 1
    return chosen
