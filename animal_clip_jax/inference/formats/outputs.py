"""Files of a format, written piece by piece and there only once they are whole."""

import contextlib
import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import IO, Any

from etils import epath

from animal_clip_jax.files import cannot_write
from animal_clip_jax.whole_outputs import replacing


@contextlib.contextmanager
def whole(path: epath.Path) -> Iterator[epath.Path]:
    """Where to write a new file or folder, as `replacing`.

    Raises:
        UserError: it cannot be written, since the disk is full, for instance; names the path.
    """
    with replacing(path) as new:
        try:
            yield new
        except OSError as error:
            raise cannot_write(path, error) from error


@contextlib.contextmanager
def whole_text(path: epath.Path) -> Iterator[IO[str]]:
    """A new file to write text into. Errors as `whole`."""
    with whole(path) as new, new.open("w") as file:
        yield file


def rows_into(file: IO[str], delimiter: str = ",") -> Any:
    """What writes rows of a table into a file; quotes are put where they are needed."""
    return csv.writer(file, delimiter=delimiter, lineterminator="\n")


def write_entries(file: IO[str], entries: Iterable[str]) -> None:
    """Writes entries of a JSON list or object, each on lines of its own."""
    separator = "\n"
    for entry in entries:
        file.write(separator + entry)
        separator = ",\n"


def as_json(content: object) -> str:
    """JSON on one line, in ASCII: some tools open it in whatever encoding their system has."""
    return json.dumps(content, allow_nan=False)


def output_names(names: Iterable[str], ending: str) -> dict[str, str]:
    """The name of the file of each video: its own with another ending, which comes behind the whole
    name where videos differ in nothing but their endings."""
    short = {name: str(PurePosixPath(name).with_suffix(ending)) for name in names}
    number = Counter(short.values())
    return {name: made if number[made] == 1 else name + ending for name, made in short.items()}


class VideoFiles:
    """Writes a folder with a file for each video, in the folders of the videos.

    Args:
        folder: that the files will be in.
        new: where the folder is while it is written.
        names: of the files, by those of the videos, see `output_names`.
    """

    def __init__(self, folder: epath.Path, new: epath.Path, names: Mapping[str, str]):
        self._folder, self._new, self._names = folder, new, names
        self.written: list[epath.Path] = []
        new.mkdir()

    def open(self, name: str) -> IO[str]:
        """The file of a video, to write text into."""
        relative = self._names[name]
        (self._new / relative).parent.mkdir(parents=True, exist_ok=True)
        self.written.append(self._folder / relative)
        return (self._new / relative).open("w")
