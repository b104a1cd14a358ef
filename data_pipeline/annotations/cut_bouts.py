"""Long bouts become several clips, as long as the windows in which a model looks at videos."""

import dataclasses

from data_pipeline.annotations.record import Annotations, Clip, make_annotations, make_clip


def cut_bouts(annotations: Annotations, seconds: float) -> Annotations:
    """The annotations with each bout cut into equal pieces.

    A model looks at few frames of a clip. Trained on whole bouts and then shown windows of two
    seconds, it would see everything faster or slower than it was trained on.

    Args:
        annotations: of a dataset. Whole videos stay as they are: their length is not known yet.
        seconds: about how long a piece is; a bout of less than one and a half of it stays whole.

    Returns:
        the annotations; pieces of the same recording with the same times are one clip, in which
        each animal does what its own bout says.
    """
    pieces: dict[tuple[str, float | None, float | None], Clip] = {}
    for clip in annotations.clips:
        for piece in _pieces(clip, seconds):
            key = piece.path, piece.start, piece.stop
            other = pieces.get(key)
            pieces[key] = piece if other is None else _both(other, piece)
    num_cut = sum(len(_pieces(clip, seconds)) > 1 for clip in annotations.clips)
    num_whole = sum(clip.start is None for clip in annotations.clips)
    notes = [
        f"bouts cut into pieces of about {seconds:g} s: {num_cut}, now {len(pieces)} clips in all"
    ]
    if num_whole:
        notes.append(f"clips without start and stop, which are not cut: {num_whole}")
    several = any(len(clip.actions) > 1 for clip in pieces.values())
    return make_annotations(
        pieces.values(),
        **{
            field.name: getattr(annotations, field.name)
            for field in dataclasses.fields(annotations)
            if field.name not in ("clips", "multi_label", "notes")
        },
        multi_label=annotations.multi_label or several,
        notes=[*annotations.notes, *notes],
    )


def _pieces(clip: Clip, seconds: float) -> list[Clip]:
    if clip.start is None or clip.stop is None:
        return [clip]
    length = clip.stop - clip.start
    number = max(round(length / seconds), 1)
    if number == 1:
        return [clip]
    edges = [round(clip.start + length * k / number, 3) for k in range(number)] + [clip.stop]
    return [_piece(clip, start, stop) for start, stop in zip(edges, edges[1:], strict=False)]


def _piece(clip: Clip, start: float, stop: float) -> Clip:
    return make_clip(
        clip.path,
        actions=clip.actions,
        animals=clip.animals,
        split=clip.split,
        source=clip.source,
        performed=clip.performed,
        start=start,
        stop=stop,
        individual=clip.individual,
        group=clip.group,
    )


def _both(one: Clip, other: Clip) -> Clip:
    individuals = "; ".join(dict.fromkeys(filter(None, (one.individual, other.individual))))
    return dataclasses.replace(
        one,
        actions=tuple(dict.fromkeys(one.actions + other.actions)),
        animals=tuple(dict.fromkeys(one.animals + other.animals)),
        performed=tuple(dict.fromkeys(one.performed + other.performed)),
        individual=individuals,
    )
