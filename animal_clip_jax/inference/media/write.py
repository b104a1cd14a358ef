"""Writing the videos that a person wants of a prediction."""

from etils import epath

from animal_clip_jax.inference.media import annotated_video, bout_clips
from animal_clip_jax.inference.media.told import Told
from animal_clip_jax.inference.results import Results
from animal_clip_jax.inference.video_progress import VideoProgress


def write_media(
    results: Results, folder: epath.Path, *, videos: bool, clips: bool, threshold: float | None
) -> tuple[dict[str, list[epath.Path]], list[Told]]:
    """Writes copies of the videos with labels, and clips of their bouts; how far it is, is shown.

    Args:
        results: of the videos.
        folder: for the folders of both.
        videos, clips: whether they are wanted.
        threshold: as `timeline.written_bouts` takes it.

    Returns:
        name -> its folder, of what is wanted, and what is to be told of them.

    Raises:
        UserError: one cannot be written, since the disk is full, for instance.
    """
    folders: dict[str, list[epath.Path]] = {}
    told: list[Told] = []
    for is_wanted, name, write in (
        (videos, annotated_video.FOLDER, annotated_video.write_videos),
        (clips, bout_clips.FOLDER, bout_clips.write_clips),
    ):
        if is_wanted:
            number = sum(1 for _ in results)
            with VideoProgress(number, title=f"writing {name}") as bar:
                told += write(results, folder, threshold=threshold, advance=bar.advance)
            folders[name] = [folder / name]
    return folders, told
