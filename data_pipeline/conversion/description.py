"""`dataset.json` of a conversion: what it is from its beginning on."""

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from animal_clip_jax.digests import sealed
from animal_clip_jax.files import write_whole
from data_pipeline.annotations.record import Annotations, Clip
from data_pipeline.conversion.encode import JPEG_QUALITY, JPEG_SUBSAMPLING
from data_pipeline.conversion.plan import Options
from data_pipeline.dataset_files import (
    ACTION_SEGMENTS,
    DATASET_FILE,
    FORMAT_VERSION,
    SEGMENTS_SOURCE,
    parse_description,
)


def describe(name: str, annotations: Annotations, options: Options) -> dict:
    """What `dataset.json` says from the beginning; another one is another dataset."""
    content = json.dumps(
        [
            annotations.action_names,
            annotations.animal_names,
            [
                (clip.split, clip.path, clip.actions, clip.animals, clip.performed, *_later(clip))
                for clip in annotations.clips
            ],
        ]
    )
    return {
        "format_version": FORMAT_VERSION,
        "name": name,
        "multi_label": annotations.multi_label,
        **asdict(options),
        "jpeg": f"quality {JPEG_QUALITY}, {JPEG_SUBSAMPLING}",
        ACTION_SEGMENTS: list(annotations.action_segments),
        SEGMENTS_SOURCE: annotations.segments_source,
        "annotations_sha256": hashlib.sha256(content.encode()).hexdigest(),
    }


def _later(clip: Clip) -> tuple:
    """What is known of clips since version 3, so that digests of others stay as they were."""
    known = (clip.start, clip.stop, clip.individual, clip.group)
    return known if known != (None, None, "", "") else ()


def begin_output(output: Path, description: dict) -> Counter[str] | None:
    """Begins a conversion, or goes on with this one; its splits if complete."""
    path = output / DATASET_FILE
    if not path.is_file():
        output.mkdir(parents=True, exist_ok=True)
        write_description(output, {**description, "complete": False})
        return None
    found = parse_description(path.read_bytes(), path)
    return Counter(found["splits"]) if found["complete"] else None


def write_description(output: Path, description: dict) -> None:
    write_whole(output / DATASET_FILE, json.dumps(sealed(description), indent=2) + "\n")
