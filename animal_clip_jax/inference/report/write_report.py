"""Writes the report of a prediction from its results: nothing is predicted for it, unless it is to
show where the model looks.

A few videos are on one page, `report.html`, which can be sent around. Of more, that page is a list,
and the videos have pages of their own in the folder `report`: those of which the model is least
sure, up to a number. A list of very many goes on on further pages there.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from etils import epath

from animal_clip_jax.files import write_whole
from animal_clip_jax.inference.formats.outputs import whole
from animal_clip_jax.inference.report.addresses import address_of
from animal_clip_jax.inference.report.attended import Attend
from animal_clip_jax.inference.report.overview import Overview, Row, overview_of
from animal_clip_jax.inference.report.timeline import PATTERNS, clock, seconds_text
from animal_clip_jax.inference.report.video import ShownVideo, shown_video
from animal_clip_jax.inference.results import Header, Results, VideoResult
from animal_clip_jax.pages.colours import COLOURS
from animal_clip_jax.pages.plain_text import plain
from animal_clip_jax.pages.rendering import page, script_of

REPORT_FILE = "report.html"
REPORT_FOLDER = "report"
# A browser opens the files of all videos on a page, and a page has up to 110 kB for each, and
# 1 kB for each of their bouts.
MOST_TOGETHER = 25
# Of more videos, so many have a page: of all that would be gigabytes of frames.
MOST_PAGES = 1000
# A browser takes a table of so many rows without delay.
ROWS_A_PAGE = 2000
_ROOM = "animal_clip_jax.inference.report"
_AT_A_TIME = 16


def write_report(
    results: Results, folder: epath.Path, *, top_k: int = 5, attend: Attend | None = None
) -> list[epath.Path]:
    """Writes `report.html` and, of many videos, the folder `report` beside it.

    The results are read twice, and only a row of each video is kept. The files of the videos that
    are shown are looked at again; one that is not there any more, or cannot be read, has a line
    that says so.

    Args:
        results: of any number of videos.
        folder: for the report; what a former call wrote is replaced.
        top_k: actions and animals of each video with their probabilities.
        attend: says where the model looks, which is shown of each video with a page; see
            `Predictor.attention`. None leaves it out.

    Returns:
        the pages, the list of all videos first.

    Raises:
        UserError: they cannot be written.
    """
    overview = overview_of(results)
    first, pages = folder / REPORT_FILE, folder / REPORT_FOLDER
    made = _Pages(results.header, overview, top_k, folder, attend)
    if len(overview.rows) <= MOST_TOGETHER:
        shown = {video.row.number: video for video in made.videos(results, overview.rows, folder)}
        write_whole(first, made.of_all([shown[row.number] for row in overview.rows]))
        if pages.exists():
            pages.rmtree()  # of a former prediction of more videos
        return [first]
    written = [first]
    with whole(pages) as new:
        new.mkdir()
        for video in made.videos(results, overview.rows[:MOST_PAGES], pages):
            (new / video_page(video.row)).write_text(made.of_video(video))
            written.append(pages / video_page(video.row))
        for number in range(1, made.num_lists):
            (new / list_page(number)).write_text(made.of_list(number))
            written.append(pages / list_page(number))
    write_whole(first, made.of_list(0))
    return written


def video_page(row: Row) -> str:
    """The name of the page of a video: its number in the results."""
    return f"{row.number:06d}.html"


def list_page(number: int) -> str:
    """The name of a page of the list that is not its first."""
    return f"videos-{number + 1:04d}.html"


class _Pages:
    """Makes pages as texts."""

    def __init__(
        self,
        header: Header,
        overview: Overview,
        top_k: int,
        folder: epath.Path,
        attend: Attend | None,
    ) -> None:
        self._header, self._overview, self._top_k = header, overview, top_k
        self._folder, self._attend = folder, attend
        self._place = {row.number: place for place, row in enumerate(overview.rows)}
        self.num_lists = -(-len(overview.rows) // ROWS_A_PAGE)

    def videos(
        self, results: Results, rows: Sequence[Row], folder: epath.Path
    ) -> Iterator[ShownVideo]:
        """Those of some rows, in the order of the results, for pages in a folder."""
        wanted = {row.number: row for row in rows}

        def shown(numbered: tuple[int, VideoResult]) -> ShownVideo:
            number, result = numbered
            row = wanted[number]
            return shown_video(
                result,
                row,
                self._overview,
                self._header,
                self._top_k,
                os.fspath(folder),
                self._attend,
            )

        # Decoding, which is most of it, lets other threads go on.
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as threads:
            held: list[tuple[int, VideoResult]] = []
            for number, result in enumerate(results, start=1):
                if number in wanted:
                    held.append((number, result))
                if len(held) == _AT_A_TIME:
                    yield from threads.map(shown, held)
                    held = []
            yield from threads.map(shown, held)

    def of_all(self, videos: Sequence[ShownVideo]) -> str:
        """One page with all."""
        links = {video.row.number: f"#video-{video.row.number}" for video in videos}
        return self._list(self._overview.rows, links, videos=videos, lists=[])

    def of_list(self, number: int) -> str:
        """A page of the list of all videos; 0 is the first."""
        start = number * ROWS_A_PAGE
        rows = self._overview.rows[start : start + ROWS_A_PAGE]
        here = self._folder if number == 0 else self._folder / REPORT_FOLDER
        below = f"{REPORT_FOLDER}/" if number == 0 else ""
        links = {}
        for place, row in enumerate(rows, start=start):
            has_page = place < MOST_PAGES
            links[row.number] = (
                below + video_page(row) if has_page else address_of(row.path, os.fspath(here))
            )
        lists = [
            ("../" if number else "") + REPORT_FILE if k == 0 else below + list_page(k)
            for k in range(self.num_lists)
        ]
        return self._list(rows, links, videos=[], lists=lists, number=number)

    def _list(
        self,
        rows: Sequence[Row],
        links: dict[int, str],
        *,
        videos: Sequence[ShownVideo],
        lists: Sequence[str],
        number: int = 0,
    ) -> str:
        return self._page(
            "list.html",
            rows=rows,
            links=links,
            videos=videos,
            lists=lists,
            number=number,
            rows_a_page=ROWS_A_PAGE,
            num_pages=min(len(self._overview.rows), MOST_PAGES) if lists else len(videos),
            actions=_numbered(action for row in rows for action in row.actions),
            animals=_numbered(animal for row in rows for animal in row.animals),
            failed=[row for row in self._overview.rows if row.problem],
        )

    def of_video(self, video: ShownVideo) -> str:
        """The page of a video."""
        rows, place = self._overview.rows, self._place[video.row.number]
        last = min(len(rows), MOST_PAGES) - 1
        return self._page(
            "video.html",
            video=video,
            before=video_page(rows[place - 1]) if place else "",
            after=video_page(rows[place + 1]) if place < last else "",
            back=f"../{REPORT_FILE}",
        )

    def _page(self, template: str, **values: object) -> str:
        return page(
            _ROOM,
            template,
            plays_videos=True,
            script=script_of(_ROOM, "report.js"),
            header=self._header,
            overview=self._overview,
            colours=list(enumerate(COLOURS)),
            patterns=range(PATTERNS),
            plain=plain,
            clock=clock,
            seconds_text=seconds_text,
            **values,
        )


def _numbered(labels: Iterator[str]) -> dict[str, int]:
    """label -> its number in the menus of a page, in the order of the alphabet."""
    return {label: number for number, label in enumerate(sorted(set(labels)))}
