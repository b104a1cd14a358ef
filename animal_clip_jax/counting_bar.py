"""The bar of a command that does one thing after another."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def counting_bar(doing: str, things: str, *, is_shown: bool = True) -> Progress:
    """A bar that counts, on the standard error output, such as `converting ━━━ 3/9 clips`."""
    return Progress(
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(things),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not is_shown,
    )
