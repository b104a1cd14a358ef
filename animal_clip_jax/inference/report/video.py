"""All that a page shows of one video."""

import dataclasses
from collections.abc import Sequence

from animal_clip_jax.inference.formats.timeline import length_of
from animal_clip_jax.inference.report.addresses import address_of
from animal_clip_jax.inference.report.attended import Attend, Attended, attended
from animal_clip_jax.inference.report.overview import Overview, Row
from animal_clip_jax.inference.report.strip import Still, strip_of
from animal_clip_jax.inference.report.timeline import Timeline, timeline_of
from animal_clip_jax.inference.results import Header, VideoResult, top
from animal_clip_jax.pages.plain_text import plain
from data_pipeline.decoding import VideoError


@dataclasses.dataclass(frozen=True)
class ShownVideo:
    """What a page shows of a video. All texts are as a page shows them.

    Attributes:
        row: of the video in the list of all.
        name, path, problem: see `VideoResult`.
        facts: about the file, such as its length.
        address: of the file, for the page; "" if it cannot be shown.
        cannot_show: why.
        strip: frames of it.
        attended: where the model looks; None where that is not asked for.
        timeline: its bouts; None of a video without windows.
        actions, animals: the likeliest with their probabilities.
    """

    row: Row
    name: str
    path: str
    problem: str
    facts: tuple[str, ...]
    address: str
    cannot_show: str
    strip: tuple[Still, ...]
    attended: Attended | None
    timeline: Timeline | None
    actions: tuple[tuple[str, float], ...]
    animals: tuple[tuple[str, float], ...]


def shown_video(
    result: VideoResult,
    row: Row,
    overview: Overview,
    header: Header,
    top_k: int,
    folder: str,
    attend: Attend | None = None,
) -> ShownVideo:
    """Looks at the file of a video, and puts together what a page shows of it.

    Args:
        result: of the video.
        row: of it.
        overview: of all videos.
        header: of the results.
        top_k: actions and animals with their probabilities.
        folder: of the page.
        attend: says where the model looks; None leaves that out.
    """
    strip: list[Still] = []
    address = reason = ""
    if result.media is not None:
        try:
            strip = strip_of(result.path, result.media.duration)
            address = address_of(result.path, folder)
        except VideoError as error:
            reason = plain(str(error))
    timeline = None
    if result.windows is not None:
        timeline = timeline_of(result, length_of(result), overview.places)
    return ShownVideo(
        row=row,
        name=plain(result.name),
        path=plain(result.path),
        problem=plain(result.problem),
        facts=_facts(result),
        address=address,
        cannot_show=reason,
        strip=tuple(strip),
        attended=attended(result, attend) if strip and attend is not None else None,
        timeline=timeline,
        actions=_likeliest(header.actions, result.actions, top_k),
        animals=_likeliest(header.animals, result.animals, top_k),
    )


def _likeliest(labels: Sequence[str], probabilities, most: int) -> tuple[tuple[str, float], ...]:
    return tuple((plain(label), p) for label, p in top(labels, probabilities, most) if p > 0)


def _facts(result: VideoResult) -> tuple[str, ...]:
    media = result.media
    if media is None:
        return ()
    facts = [f"{media.duration:.1f} s", f"{media.width} × {media.height} pixels"]
    if media.frame_rate > 0:
        facts.append(f"{media.frame_rate:.3g} frames a second")
    if media.has_audio:
        facts.append("with sound")
    return tuple(facts)
