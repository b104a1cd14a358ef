"""From rows of what an animal does from when to when to clips."""

import dataclasses
from collections.abc import Iterable

from animal_clip_jax.errors import quoted
from data_pipeline.annotations.record import AnnotationError, Clip, make_clip


@dataclasses.dataclass(frozen=True)
class Row:
    """What one row of a list says of a recording.

    Attributes:
        video: its path, relative to a root.
        actions, animals, individuals: names; each animal of the row does each of its actions.
        split: of the clip.
        place: where the row stands.
        start, stop: of the bout, in seconds; both None for the whole recording.
    """

    video: str
    actions: tuple[str, ...]
    animals: tuple[str, ...]
    individuals: tuple[str, ...]
    split: str
    place: str = dataclasses.field(compare=False)
    start: float | None = None
    stop: float | None = None


def clips_of(rows: Iterable[Row]) -> tuple[list[Clip], list[str]]:
    """One clip for each recording, or for each stretch of time in it.

    Rows of the same recording and the same times speak of one clip, in which several animals do
    what their own rows say.

    Returns:
        the clips, in the order of their first rows; and notes for a person.

    Raises:
        AnnotationError: a row says what another does; rows of one clip are in two splits; a
            recording is listed as a whole and in bouts; or as `make_clip`.
    """
    of_clip: dict[tuple, list[Row]] = {}
    first: dict[str, Row] = {}
    for row in rows:
        other = first.setdefault(row.video, row)
        if (other.start is None) != (row.start is None):
            raise AnnotationError(
                f"{row.place}: the video {quoted(row.video)} is listed both as a whole and in "
                f"bouts (before: {other.place}); give start and stop in all of its rows, or in none"
            )
        same = of_clip.setdefault((row.video, row.start, row.stop), [])
        for before in same:
            if before == row:
                raise AnnotationError(
                    f"{row.place}: the clip {quoted(row.video)} is listed twice, with the same "
                    f"labels (before: {before.place})"
                )
            if before.split != row.split:
                raise AnnotationError(
                    f"{row.place}: the clip {quoted(row.video)} is in the splits "
                    f"{before.split!r} and {row.split!r} (before: {before.place})"
                )
        same.append(row)
    merged = sum(len(same) > 1 for same in of_clip.values())
    notes = []
    if merged:
        which = "clip is" if merged == 1 else "clips are"
        notes.append(
            f"{merged} {which} listed in several rows, of the same video and the same times: each "
            "animal does what its own row says"
        )
    return [_clip(same) for same in of_clip.values()], notes


def _clip(rows: list[Row]) -> Clip:
    return make_clip(
        rows[0].video,
        actions=[name for row in rows for name in row.actions],
        animals=[name for row in rows for name in row.animals],
        split=rows[0].split,
        source=rows[0].place,
        performed=[
            (animal, action) for row in rows for animal in row.animals for action in row.actions
        ],
        start=rows[0].start,
        stop=rows[0].stop,
        individual="; ".join(dict.fromkeys(name for row in rows for name in row.individuals)),
    )
