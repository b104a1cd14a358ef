"""A folder for every action, with the videos that show it: `Running/0412.mp4`.

Above them there may be folders for the splits: `train/Running/0412.mp4`. Which animals are in the
videos is not said.
"""

from pathlib import Path

from animal_clip_jax.errors import quoted, shortened
from data_pipeline.annotations.clips_csv import SPLIT_WORDS
from data_pipeline.annotations.places import missing, what_is_in
from data_pipeline.annotations.read_options import DEFAULTS, ReadOptions
from data_pipeline.annotations.record import (
    AnnotationError,
    Annotations,
    make_annotations,
    make_clip,
)
from data_pipeline.limits import shown
from data_pipeline.video_files import VIDEO_SUFFIXES, files_below, leading_out_of

_LAYOUT = "ACTION/clip.mp4, or train/ACTION/clip.mp4"


def read_action_folders(source: Path, options: ReadOptions = DEFAULTS) -> Annotations:
    """Annotations from folders; what is hidden, or no video by its suffix, is passed over.

    Args:
        source: the folder that holds them.
        options: `animal`, which is in every clip, and `roots`, which links may lead to.

    Raises:
        FileNotFoundError: there is no such folder.
        AnnotationError: there are no videos in folders of actions, or some of the folders are
            splits and others are not.
    """
    if not source.is_dir():
        raise missing(source, "the folder of actions")
    leading_out: list[Path] = []
    leads_out = leading_out_of([source, *options.roots])
    files = list(files_below(source, leads_out, leading_out))
    tops = sorted({path.parts[0] for path in files if len(path.parts) > 1})
    splits = [name for name in tops if name.casefold() in SPLIT_WORDS]
    if splits and splits != tops:
        others = [name for name in tops if name not in splits]
        raise AnnotationError(
            f"{source}: the folders {shortened(', '.join(splits))} are splits, and "
            f"{shortened(', '.join(others))} {'is' if len(others) == 1 else 'are'} not; expected "
            f"{_LAYOUT}"
        )
    least = 3 if splits else 2
    clips, outside, no_videos = [], [], []
    for path in files:
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            no_videos.append(path)
        elif len(path.parts) < least:
            outside.append(path)
        else:
            clips.append(
                make_clip(
                    path.as_posix(),
                    actions=[path.parts[least - 2]],
                    animals=[options.animal] if options.animal else [],
                    split=SPLIT_WORDS[path.parts[0].casefold()] if splits else "train",
                    source=shown(source / path),
                )
            )
    if not clips:
        raise AnnotationError(
            f"no video lies in the folder of an action; expected {_LAYOUT}; {what_is_in(source)}"
        )
    notes = [
        f"{len(paths)} {'file' if len(paths) == 1 else 'files'} {why}, such as "
        f"{quoted(shown(paths[0]))}"
        for paths, why in (
            (outside, "in no folder of an action: not used"),
            (no_videos, "that by the suffix are no videos: not used"),
            (leading_out, "or folders that are links to elsewhere: not used without --root"),
        )
        if paths
    ]
    return make_annotations(clips, roots=[source], multi_label=False, notes=notes)
