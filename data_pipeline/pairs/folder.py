"""A person's own pictures: a folder with `pairs.csv`, which says what is on each.

    image,text,label,split
    forest/0412.jpg,a fox that drinks from a puddle,Red Fox,train
    forest/0412.jpg,a red animal with a bushy tail,Red Fox,train

`image` and `text` are needed. Rows of one picture are several texts of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath

from PIL import Image, ImageOps

from animal_clip_jax.errors import MissingFileError, quoted, shortened
from data_pipeline.annotations.columns import meant_by, separator_of, table_rows
from data_pipeline.annotations.label_files import reading
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.frame_folders import PICTURE_SUFFIXES
from data_pipeline.limits import MOST_RECORD_BYTES
from data_pipeline.pairs.record import Pair, opened, text_problem
from data_pipeline.video_files import files_below, leading_out_of

LIST_FILE = "pairs.csv"
NEEDED = ("image", "text")
COLUMNS = (*NEEDED, "label", "split")
_JPEG_QUALITY = 95
# What is stored as it is; other kinds, such as those of printers, are decoded alike by few.
_PLAIN_MODES = ("RGB", "L")


@dataclass
class Picture:
    """A picture of the list.

    Attributes:
        path: of its file.
        place: in the list, of its first row.
        texts: of it.
        label: what it shows, "" where that is not said.
        split: that it is in.
    """

    path: Path
    place: str
    label: str
    split: str
    texts: list[str] = field(default_factory=list)


def read_list(folder: Path) -> tuple[dict[str, list[Picture]], list[str]]:
    """The pictures of a folder by split, and what a person should know of them.

    Raises:
        MissingFileError: there is no such folder, no list in it, or a picture is not there.
        AnnotationError: the list does not parse, a text is empty, or rows of one picture disagree.
    """
    path = folder / LIST_FILE
    if not folder.is_dir():
        raise MissingFileError(f"the folder {folder} does not exist", folder)
    if not path.is_file():
        raise MissingFileError(
            f"{folder} has no {LIST_FILE}; expected a list of its pictures, with the columns "
            f"{','.join(COLUMNS)}"
        )
    written, rows = table_rows(path, separator_of(path))
    header = [name.casefold() for name in written]
    _check_header(path, header)
    pictures: dict[str, Picture] = {}
    absent: list[tuple[str, str]] = []
    leads_out = leading_out_of([folder])
    for place, cells in rows:
        row = dict(zip(header, cells, strict=True))
        name = _relative(row["image"], place)
        label, split = row.get("label", ""), row.get("split", "") or "train"
        problem = text_problem(row["text"])
        if problem:
            raise AnnotationError(f"{place}: {problem} ({quoted(name)})")
        picture = pictures.get(name)
        if picture is None:
            picture = pictures[name] = Picture(folder / name, place, label, split)
            if leads_out(picture.path):
                raise AnnotationError(f"{place}: {quoted(name)} leads out of {folder}")
            if not picture.path.is_file():
                absent.append((place, name))
        elif (picture.label, picture.split) != (label, split):
            raise AnnotationError(
                f"{place}: {quoted(name)} has the label {quoted(label)} and the split "
                f"{quoted(split)}, and others before ({picture.place})"
            )
        picture.texts.append(row["text"])
    if not pictures:
        raise AnnotationError(f"{path} lists no picture")
    if absent:
        place, name = absent[0]
        more = f", nor are {len(absent) - 1} more" if len(absent) > 1 else ""
        raise MissingFileError(
            f"{place}: the picture {quoted(name)} is not in {folder}{more}", folder / name
        )
    splits: dict[str, list[Picture]] = {}
    for picture in pictures.values():
        splits.setdefault(picture.split, []).append(picture)
    return splits, _notes(folder, header, frozenset(pictures))


def pairs_of(pictures: list[Picture], short_side: int) -> Iterator[Pair]:
    """The pictures with their texts, each read when it is asked for.

    Args:
        short_side: larger pictures are made that small, as JPEG; others are stored as they are.

    Raises:
        UserError: a picture is damaged or cannot be read; names it.
    """
    for picture in pictures:
        yield Pair(_stored(picture, short_side), tuple(picture.texts), picture.label)


def _stored(picture: Picture, short_side: int) -> bytes:
    with reading(picture.path):
        size = picture.path.stat().st_size
        if size > MOST_RECORD_BYTES:
            raise AnnotationError(
                f"{picture.path} has {size} bytes; {MOST_RECORD_BYTES} are the most"
            )
        content = picture.path.read_bytes()
    image = opened(content, str(picture.path))
    upright = ImageOps.exif_transpose(image)
    scale = short_side / min(upright.size)
    is_upright = upright.size == image.size and image.getexif().get(0x0112, 1) == 1
    if scale >= 1 and is_upright and image.mode in _PLAIN_MODES:
        return content
    upright = upright.convert("RGB")
    if scale < 1:
        width, height = (max(round(scale * side), 1) for side in upright.size)
        upright = upright.resize((width, height), Image.Resampling.BICUBIC)
    file = BytesIO()
    upright.save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return file.getvalue()


def _check_header(path: Path, header: list[str]) -> None:
    place = f"{path}, line 1"
    for name in COLUMNS:
        if header.count(name) > 1:
            raise AnnotationError(f"{place}: two columns {name!r}")
    for name in NEEDED:
        if name not in header:
            raise AnnotationError(
                f"{place}: no column {name!r}; expected {','.join(NEEDED)} and perhaps label,split,"
                f" found {quoted(','.join(header))}"
            )
    lacking = [name for name in COLUMNS if name not in header]
    for name in header:
        meant = None if name in COLUMNS else meant_by(name, lacking)
        if meant is not None:
            raise AnnotationError(
                f"{place}: the column {quoted(name)} is written {meant!r}, or called otherwise if "
                "it holds something else"
            )


def _relative(name: str, place: str) -> str:
    """The name of a picture in the folder, written one way."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts:
        raise AnnotationError(
            f"{place}: {quoted(name)} is no picture in this folder; expected its path from here"
        )
    return str(path)


def _notes(folder: Path, header: list[str], listed: frozenset[str]) -> list[str]:
    notes = []
    unused = [name for name in header if name not in COLUMNS]
    if unused:
        notes.append(f"{LIST_FILE}: not used: {shortened(', '.join(map(quoted, unused)))}")
    without = [
        path.as_posix()
        for path in files_below(folder, leading_out_of([folder]))
        if path.suffix.lower() in PICTURE_SUFFIXES and path.as_posix() not in listed
    ]
    if without:
        count = f"{len(without)} picture{'s' * (len(without) > 1)}"
        notes.append(f"{count} without a text, left out: {shortened(', '.join(without))}")
    return notes
