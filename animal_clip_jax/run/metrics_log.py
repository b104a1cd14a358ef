"""The figures of a run as a program reads them: `metrics.jsonl`."""

import json
from collections.abc import Mapping

from etils import epath

from animal_clip_jax.files import append, check_is_file, write_whole


class MetricsLog:
    """Appends figures to `metrics.jsonl`.

    Args:
        is_written: false in the processes that leave it to the first.
    """

    def __init__(self, workdir: epath.Path, *, is_written: bool = True):
        self.path = workdir / "metrics.jsonl"
        self._is_written = is_written

    def go_on(self, step: int, *, is_evaluated: bool = True) -> str:
        """Makes the file one to go on with after a step: what comes is written once.

        Lines of later steps go, as those steps are made again, and so does a last line that was
        broken off.

        Args:
            is_evaluated: whether the evaluation of this very step counts as made. If not, it is
                made again, and a line of it goes too.

        Returns:
            what to say of it; "" if nothing.

        Raises:
            UserError: the file cannot be written.
        """
        if not self._is_written or not self.path.exists():
            return ""
        before = self._content()
        *lines, rest = before.split(b"\n")
        kept = [line for line in lines if _stays(line, step, is_evaluated)]
        after = b"".join(line + b"\n" for line in kept)
        if after != before:
            write_whole(self.path, after)
        if not rest:
            return ""
        return f"{self.path}: the last line was broken off after {len(rest)} bytes, and is removed"

    def holds(self, step: int, kind: str) -> bool:
        """Whether the file has a line of this step and kind."""
        if not self.path.exists():
            return False
        beginning = json.dumps({"step": step, "kind": kind})[:-1].encode()
        # What follows the last line end was broken off.
        *lines, _ = self._content().split(b"\n")
        return any(line.startswith(beginning) for line in lines)

    def _content(self) -> bytes:
        return check_is_file(self.path, "the figures of a run").read_bytes()

    def write(
        self,
        step: int,
        kind: str,
        figures: Mapping[str, float],
        source: Mapping[str, object] | None = None,
    ) -> None:
        """Adds the line {"step": …, "kind": …, …source, …figures}.

        Args:
            kind: "train" or "evaluation".
            source: what the figures were made of.

        Raises:
            UserError: the file cannot be written.
        """
        if self._is_written:
            content = {"step": step, "kind": kind, **(source or {}), **figures}
            append(self.path, json.dumps(content) + "\n")


def _stays(line: bytes, step: int, is_evaluated: bool) -> bool:
    try:
        entry = json.loads(line)
        of, kind = int(entry["step"]), entry["kind"]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return True  # nothing that this program wrote, so nothing that it writes again
    # That of the end of the training says which checkpoint it is of.
    is_of_epoch = kind == "evaluation" and "checkpoint" not in entry
    return of < step or (of == step and (is_evaluated or not is_of_epoch))
