"""What is in a data set, before the conversion of its videos and after it.

animal-clip inspect clips.csv --dataset=csv --html=look.html
animal-clip inspect lote_tfrecord
"""

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.files import absolute, as_path, write_whole
from data_pipeline.annotations.datasets import READERS
from data_pipeline.annotations.record import Clip
from data_pipeline.dataset_files import TRAIN_SPLIT
from data_pipeline.inspection.contact_sheet import ShownClip, sheet_of, stored_clips
from data_pipeline.inspection.description import describe
from data_pipeline.inspection.examination import Examination, examine, spread_over_actions
from data_pipeline.inspection.report import as_json, as_text, findings_as_text
from data_pipeline.inspection.subject import Subject, is_converted, of_annotations, of_converted
from data_pipeline.long_tail import HEAD_CLIPS, TAIL_CLIPS
from data_pipeline.reading_flags import READING_FLAGS, add_reading_flags, read_as_flags_say

SHOWN_CLIPS = 24
# With --strict, where a data set has problems.
HAS_PROBLEMS = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip inspect`; returns the exit code: 0 where it has looked through the data,
    whatever it found, but 1 with --strict where there are problems."""
    parser = Parser(
        "inspect",
        usage="DATA [options]",
        summary="Looks for mistakes in a data set, before its conversion or after it, says what\n"
        "is in it, and draws a sheet of some clips.",
        examples=(
            "animal-clip inspect clips.csv --dataset=csv --html=look.html",
            "animal-clip inspect data/mine",
        ),
    )
    add, whole = parser.add_argument, numeric(int)
    add("directory", metavar="DATA", help="a source with --dataset, or converted data")
    add("--dataset", choices=tuple(READERS), metavar="NAME", help="of which form it is: csv, …")
    add_reading_flags(parser)
    add("--all", action="store_true", help="open every video, not 200 of them")
    add("--split", metavar="NAME", default=TRAIN_SPLIT, help="whose clips are counted (train)")
    add("--top", metavar="N", type=whole, default=20, help="lines of a list (%(default)s)")
    add("--head", metavar="N", type=whole, default=HEAD_CLIPS, help="clips of a head class (500)")
    add("--tail", metavar="N", type=whole, default=TAIL_CLIPS, help="a tail class has fewer (100)")
    add("--clips", metavar="N", type=whole, default=SHOWN_CLIPS, help="on the sheet; 0: none (24)")
    add("--sheet", metavar="PNG", help="the sheet (DATA/contact_sheet.png if converted)")
    add("--json", metavar="FILE", help="all that was found, for programs")
    add("--html", metavar="FILE", help="all of it as one page, with charts and clips")
    add("--strict", action="store_true", help="exit code 1 if there are problems")
    found: list[Examination] = []

    def command() -> None:
        options = parser.parse(arguments)
        examination = _inspect(options)
        if options.strict:
            found.append(examination)

    code = command_line.run(command)
    return code or (HAS_PROBLEMS if any(one.problems for one in found) else code)


def _inspect(options: argparse.Namespace) -> Examination:
    if options.html:
        command_line.need("matplotlib")
    for path in (options.json, options.html, options.sheet):
        # Before a look that may take minutes.
        if path and not absolute(path).parent.is_dir():
            raise UserError(f"{path} cannot be written: there is no folder for it")
    if is_converted(options.directory):
        return _inspect_converted(options)
    return _inspect_source(options)


def _inspect_converted(options: argparse.Namespace) -> Examination:
    given = [name for name in ("dataset", *READING_FLAGS, "all") if _is_given(options, name)]
    if given:
        raise UserError(
            f"{options.directory} is converted: --{given[0]} is for data that are not; leave it out"
        )
    if options.clips:
        command_line.need("tensorflow")
    text = describe(
        options.directory, options.split, top=options.top, head=options.head, tail=options.tail
    )
    examination = examine(of_converted(options.directory), head=options.head, tail=options.tail)
    print(f"{findings_as_text(examination)}\n\n{text}")
    shown: list[ShownClip] = []
    if options.clips:
        shown = stored_clips(options.directory, options.split, options.clips)
        _write_sheet(options.sheet or as_path(options.directory) / "contact_sheet.png", shown)
    _write_reports(options, examination, shown)
    return examination


def _inspect_source(options: argparse.Namespace) -> Examination:
    source = options.directory
    if not as_path(source).exists():
        raise MissingFileError(f"{absolute(source)}: there is no such file or folder", source)
    if not options.dataset:
        raise UserError(
            f"{source} is not a converted dataset: it has no dataset.json. If it is to be "
            f"converted, say of which form it is: --dataset={'|'.join(READERS)}"
        )
    annotations = read_as_flags_say(options.dataset, source, options, may_lack_videos=True)
    subject = of_annotations(options.dataset, source, annotations)
    if options.split not in subject.splits and options.split != TRAIN_SPLIT:
        raise UserError(f"no split {options.split!r}; there is {', '.join(subject.splits)}")
    wanted = _clips_to_show(subject, options) if options.html or options.sheet else []
    examination = examine(
        subject,
        shown_clips=wanted,
        all_videos=options.all,
        head=options.head,
        tail=options.tail,
    )
    print(as_text(examination, options.split, options.top))
    shown = [
        ShownClip(clip.clip_id, clip.split, clip.animals, clip.actions, frames)
        for clip in wanted
        if (frames := examination.frames.get(clip.clip_id))
    ]
    if options.sheet and shown:
        _write_sheet(options.sheet, shown)
    _write_reports(options, examination, shown)
    return examination


def _is_given(options: argparse.Namespace, name: str) -> bool:
    value = getattr(options, name)
    return bool(value) and (name, value) != ("actions_from", "labels")


def _clips_to_show(subject: Subject, options: argparse.Namespace) -> list[Clip]:
    clips = [clip for clip in subject.annotations.clips if clip.split == options.split]
    return [clips[k] for k in spread_over_actions([clip.actions for clip in clips], options.clips)]


def _write_sheet(path: str | os.PathLike, clips: Sequence[ShownClip]) -> None:
    content = io.BytesIO()
    sheet_of(clips).save(content, "PNG")
    write_whole(path, content.getvalue())
    print(f"\ncontact sheet: {path}")


def _write_reports(
    options: argparse.Namespace, examination: Examination, shown: Sequence[ShownClip]
) -> None:
    if options.json:
        text = json.dumps(as_json(examination), ensure_ascii=False, indent=1)
        write_whole(options.json, text + "\n")
        print(f"\nJSON: {options.json}")
    if options.html:
        # Here, not above: only the page needs matplotlib.
        from data_pipeline.inspection.page import page

        write_whole(options.html, page(examination, shown))
        print(f"\npage: {options.html}")


if __name__ == "__main__":
    sys.exit(main())
