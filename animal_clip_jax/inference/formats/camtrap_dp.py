"""A package of Camtrap DP 1.0.2: deployments, videos and what was observed in them, as CSV files.

Times are by the clock: when a video begins comes from the table of deployments, never from here.
"""

import datetime
import math
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from etils import epath

from animal_clip_jax.errors import UserError, quoted, shortened
from animal_clip_jax.inference.formats import deployments as tables
from animal_clip_jax.inference.formats.deployments import (
    Deployments,
    read_deployments,
    read_scientific_names,
    wall_clock,
)
from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.outputs import as_json, rows_into, whole
from animal_clip_jax.inference.formats.timeline import length_of, readable, videos_of, written_bouts
from animal_clip_jax.inference.results import Bout, Header, Results, VideoResult

FOLDER = "camtrap_dp"
PACKAGE_FILE = "datapackage.json"
_VERSION = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2"
MEDIA_COLUMNS = (
    *("mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic"),
    *("fileName", "fileMediatype", "exifData", "favorite", "mediaComments"),
)
OBSERVATION_COLUMNS = (
    *("observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd"),
    *("observationLevel", "observationType", "cameraSetupType", "scientificName", "count"),
    *("lifeStage", "sex", "behavior", "individualID", "individualPositionRadius"),
    *("individualPositionAngle", "individualSpeed", "bboxX", "bboxY", "bboxWidth", "bboxHeight"),
    *("classificationMethod", "classifiedBy", "classificationTimestamp"),
    *("classificationProbability", "observationTags", "observationComments"),
)
_MEDIA_TYPES = {
    **{".mp4": "mp4", ".m4v": "mp4", ".mov": "quicktime", ".avi": "x-msvideo", ".webm": "webm"},
    **{".mkv": "x-matroska", ".mpg": "mpeg", ".mpeg": "mpeg", ".ogv": "ogg", ".ogg": "ogg"},
    **{".wmv": "x-ms-wmv", ".flv": "x-flv", ".mts": "mp2t", ".m2ts": "mp2t", ".3gp": "3gpp"},
}
_SHOWN = 5


def problems(
    header: Header, videos: Sequence[tuple[str, str]], options: FormatOptions
) -> list[str]:
    """What keeps a package from being written, a line each.

    Args:
        header: of the results.
        videos: (name, path) of all.
        options: which name the table of deployments.
    """
    if options.deployments is None:
        return [
            "camtrap_dp needs --deployments=CSV: where the cameras stood and when each video begins"
        ]
    found = []
    names = [name for name, _ in videos if name[:1] in "./~" or ".." in name]
    if names:
        found.append(
            "Camtrap DP takes no path that begins with '.', '/' or '~' or holds '..': "
            + _some(names)
        )
    try:
        deployments = read_deployments(options.deployments)
        lacking = [name for name, path in videos if deployments.of_video(name, path) is None]
        if lacking and len(lacking) == len(videos):
            found.append(
                f"{options.deployments} has no row for any of {len(videos)} videos: "
                f"{_some(lacking)}"
            )
    except UserError as error:
        found.append(str(error))
    if options.scientific_names is not None:
        try:
            read_scientific_names(options.scientific_names)
        except UserError as error:
            found.append(str(error))
    return found


def without_deployment(
    videos: Sequence[tuple[str, str]], options: FormatOptions
) -> list[tuple[str, str]]:
    """The videos, name and path of each, that the table has no row for, and what is told of them:
    the package does not have them."""
    if options.deployments is None:
        return []
    deployments = read_deployments(options.deployments)
    reason = f"not in camtrap_dp: {options.deployments} has no row for it"
    return [(name, reason) for name, path in videos if deployments.of_video(name, path) is None]


def write(results: Results, folder: epath.Path, options: FormatOptions) -> list[epath.Path]:
    """Writes `camtrap_dp/`: `datapackage.json`, `deployments.csv`, `media.csv`, `observations.csv`.

    A bout is an observation of the level `media`. Where a video has none, it has one over its
    whole length: `blank`, or `unknown` if the model found no action, or `unclassified` if it could
    not be looked at. Videos that the table of deployments does not have are left out.

    Raises:
        UserError: there is a problem, as `problems` has it; or a file cannot be written.
    """
    if options.deployments is None:
        raise UserError(problems(results.header, (), options)[0])
    deployments = read_deployments(options.deployments)
    names = read_scientific_names(options.scientific_names) if options.scientific_names else {}
    used: set[str] = set()
    with whole(folder / FOLDER) as new:
        new.mkdir()
        with (new / "deployments.csv").open("w") as file:
            rows = rows_into(file)
            rows.writerow(tables.COLUMNS)
            rows.writerows(
                [row[column] for column in tables.COLUMNS] for row in deployments.rows.values()
            )
        with (
            (new / "media.csv").open("w") as media_file,
            (new / "observations.csv").open("w") as observations_file,
        ):
            media, observations = rows_into(media_file), rows_into(observations_file)
            media.writerow(MEDIA_COLUMNS)
            observations.writerow(OBSERVATION_COLUMNS)
            for result in videos_of(results):
                place = deployments.of_video(result.name, result.path)
                if place is None:
                    continue
                media.writerow(_cells(MEDIA_COLUMNS, _medium(result, *place, options)))
                for row in _observations(result, *place, results.header, options, names):
                    observations.writerow(_cells(OBSERVATION_COLUMNS, row))
                    used.add(row.get("scientificName", ""))
        package = _package(results.header, deployments, options, used)
        (new / PACKAGE_FILE).write_text(as_json(package) + "\n")
    files = (PACKAGE_FILE, "deployments.csv", "media.csv", "observations.csv")
    return [folder / FOLDER / name for name in files]


def _medium(
    result: VideoResult, deployment: str, start: datetime.datetime, options: FormatOptions
) -> dict[str, str]:
    suffix = PurePosixPath(result.name).suffix.lower()
    return {
        "mediaID": result.name,
        "deploymentID": deployment,
        "captureMethod": options.capture_method,
        "timestamp": wall_clock(start),
        "filePath": result.name,
        "filePublic": "false",
        "fileName": PurePosixPath(result.name).name,
        "fileMediatype": f"video/{_MEDIA_TYPES.get(suffix, 'x-unknown')}",
        "mediaComments": result.problem,
    }


def _observations(
    result: VideoResult,
    deployment: str,
    start: datetime.datetime,
    header: Header,
    options: FormatOptions,
    names: dict[str, str],
) -> Iterator[dict[str, str]]:
    """The observations of a video: column -> text; columns that are not there are empty."""
    bouts = written_bouts(result, header, options.threshold)
    machine = {
        "classificationMethod": "machine",
        "classifiedBy": readable(f"{header.software}, {header.model}"),
        "classificationTimestamp": wall_clock(datetime.datetime.fromisoformat(header.made)),
    }
    kinds: list[dict[str, str]] = [_of_bout(bout, names) | machine for bout in bouts]
    spans = [(bout.start, bout.stop) for bout in bouts]
    if not bouts:
        spans = [(0.0, length_of(result))]
        if not result.is_answered:
            kinds = [{"observationType": "unclassified", "observationComments": result.problem}]
        else:
            kinds = [{"observationType": "blank" if result.blank else "unknown"} | machine]
    for number, (kind, (first, last)) in enumerate(zip(kinds, spans, strict=True), start=1):
        yield kind | {
            "observationID": f"{result.name}#{number}",
            "deploymentID": deployment,
            "mediaID": result.name,
            "eventStart": wall_clock(_after(start, first)),
            "eventEnd": wall_clock(_up(_after(start, last))),
            "observationLevel": "media",
        }


def _of_bout(bout: Bout, names: dict[str, str]) -> dict[str, str]:
    animal = readable(bout.animal).replace("|", "/")
    return {
        "observationType": "animal",
        "scientificName": names.get(bout.animal, ""),
        "behavior": readable(bout.action).replace("|", "/"),
        "classificationProbability": f"{min(max(bout.score, 0.0), 1.0):.4f}",
        "observationTags": f"animal:{animal}" if animal else "",
        "observationComments": f"{bout.start:.3f} to {bout.stop:.3f} s in the video",
    }


def _package(
    header: Header, deployments: Deployments, options: FormatOptions, used: set[str]
) -> dict:
    starts, ends = (
        [datetime.datetime.fromisoformat(row[column]) for row in deployments.rows.values()]
        for column in ("deploymentStart", "deploymentEnd")
    )
    return {
        "name": "animal-clip-predictions",
        "profile": f"{_VERSION}/camtrap-dp-profile.json",
        "created": wall_clock(datetime.datetime.fromisoformat(header.made)),
        "contributors": [{"title": header.software, "role": "contributor"}],
        "project": {
            "title": options.project_title or "Predicted behaviour in camera-trap videos",
            "samplingDesign": options.sampling_design,
            "captureMethod": [options.capture_method],
            "individualAnimals": False,
            "observationLevel": ["media"],
        },
        "spatial": _spatial(deployments),
        "temporal": {
            "start": min(starts).date().isoformat(),
            "end": max(ends).date().isoformat(),
        },
        "taxonomic": [{"scientificName": name} for name in sorted(used) if name],
        "resources": [
            {
                "name": name,
                "path": f"{name}.csv",
                "profile": "tabular-data-resource",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "schema": f"{_VERSION}/{name}-table-schema.json",
            }
            for name in ("deployments", "media", "observations")
        ],
    }


def _spatial(deployments: Deployments) -> dict:
    """The box around all deployments, as GeoJSON; the point if there is only one."""
    west, east, south, north = (
        choose(float(row[column]) for row in deployments.rows.values())
        for column in ("longitude", "latitude")
        for choose in (min, max)
    )
    if (west, south) == (east, north):
        return {"type": "Point", "coordinates": [west, south]}
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "bbox": [west, south, east, north], "coordinates": [corners]}


def _cells(columns: Sequence[str], row: dict[str, str]) -> list[str]:
    return [row.get(column, "") for column in columns]


def _after(start: datetime.datetime, seconds: float) -> datetime.datetime:
    return start + datetime.timedelta(seconds=seconds)


def _up(time: datetime.datetime) -> datetime.datetime:
    return time + datetime.timedelta(seconds=math.ceil(time.microsecond / 1e6))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(shortened(quoted(name)) for name in names[:_SHOWN]) + more
