"""How far a prediction is, or the writing of what it found: a bar on standard error."""

import importlib.util
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        pieces, seconds = task.fields["pieces"], task.elapsed
        return Text(f"{pieces / seconds:.1f} pieces/s" if pieces and seconds else "")


def _is_live_in_a_notebook() -> bool | None:
    """None lets Rich look where it is; without ipywidgets it would say so in place of the bar."""
    return None if importlib.util.find_spec("ipywidgets") else False


class VideoProgress:
    """A bar of videos, with the pieces that the model has looked at in a second; for a `with`.

    Args:
        num_videos: in all.
        is_shown: else nothing is shown.
        title: what is done.
    """

    def __init__(
        self, num_videos: int, *, is_shown: bool = True, title: str = "predicting"
    ) -> None:
        self._bar = Progress(
            TextColumn(title),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[videos]}"),
            _Rate(),
            TimeRemainingColumn(),
            console=Console(stderr=True, force_jupyter=_is_live_in_a_notebook()),
            disable=not is_shown,
        )
        self._total = num_videos
        self._task = self._bar.add_task("", total=num_videos, videos=self._videos(0), pieces=0)

    def __enter__(self) -> "VideoProgress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def advance(self, done: float, pieces: int = 0) -> None:
        """Shows that so many videos are done, one that is half done being half a video, and so many
        pieces, as `stream.predict_stream` counts them."""
        self._bar.update(self._task, completed=done, videos=self._videos(int(done)), pieces=pieces)

    def _videos(self, done: int) -> str:
        return f"{done}/{self._total} videos"
