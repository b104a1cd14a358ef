"""Where and when videos were recorded: the table that a person gives for Camtrap DP."""

import dataclasses
import datetime
import math
import pathlib
from collections.abc import Iterator, Sequence

from etils import epath

from animal_clip_jax.classes.file_errors import FileErrors, csv_rows
from animal_clip_jax.command_line import did_you_mean
from animal_clip_jax.errors import quoted, shortened

# Of Camtrap DP 1.0.2, in its order.
COLUMNS = (
    *("deploymentID", "locationID", "locationName", "latitude", "longitude"),
    *("coordinateUncertainty", "deploymentStart", "deploymentEnd", "setupBy", "cameraID"),
    *("cameraModel", "cameraDelay", "cameraHeight", "cameraDepth", "cameraTilt"),
    *("cameraHeading", "detectionDistance", "timestampIssues", "baitUse", "featureType"),
    *("habitat", "deploymentGroups", "deploymentTags", "deploymentComments"),
)
NEEDED = ("deploymentID", "latitude", "longitude", "deploymentStart", "deploymentEnd")
MEDIA_NEEDED = ("filePath", "deploymentID", "timestamp")
MEDIA_FILE = "media.csv"
_TIMES = ("deploymentStart", "deploymentEnd")
# The least and the most of numbers that may be left out, and whether they are whole.
_NUMBERS = {
    "coordinateUncertainty": (1, math.inf, True),
    "cameraDelay": (0, math.inf, True),
    "cameraHeight": (0, math.inf, False),
    "cameraDepth": (0, math.inf, False),
    "cameraTilt": (-90, 90, True),
    "cameraHeading": (0, 360, True),
    "detectionDistance": (0, math.inf, False),
    "latitude": (-90, 90, False),
    "longitude": (-180, 180, False),
}
_WORDS = {
    **dict.fromkeys(
        ("timestampIssues", "baitUse"), ("true", "false", "TRUE", "FALSE", "True", "False")
    ),
    "featureType": (
        *("roadPaved", "roadDirt", "trailHiking", "trailGame", "roadUnderpass", "roadOverpass"),
        *("roadBridge", "culvert", "burrow", "nestSite", "carcass", "waterSource", "fruitingTree"),
    ),
}
_MISSING = ("NA", "NaN", "nan")  # beside nothing at all
_YEARS = range(1900, 2200)
_Row = tuple[int, dict[str, str]]


@dataclasses.dataclass(frozen=True)
class Deployments:
    """Deployments, and the videos recorded in them.

    Attributes:
        rows: deploymentID -> column of Camtrap DP -> text; times are as `wall_clock` writes them.
        videos: filePath -> the deploymentID, and when the video begins, with its time zone.
    """

    rows: dict[str, dict[str, str]]
    videos: dict[str, tuple[str, datetime.datetime]]

    def of_video(self, name: str, path: str) -> tuple[str, datetime.datetime] | None:
        """The deployment of a video and when it begins; None where no row has it.

        Args:
            name: of the video in the results. A row may have more folders before the name, and
                those have to be the video's; but not fewer, since it could be another's.
            path: the whole path.
        """
        if name in self.videos:
            return self.videos[name]
        parts = path.split("/")
        most = len(parts) - name.count("/") - 1
        candidates = ("/".join(parts[first:]) for first in range(most))
        return next((self.videos[each] for each in candidates if each in self.videos), None)


def wall_clock(time: datetime.datetime) -> str:
    """A time as Camtrap DP has it: whole seconds, and how far its zone is from UTC."""
    return time.replace(microsecond=0).isoformat()


def read_deployments(path: epath.Path) -> Deployments:
    """Reads the table, in one of two forms.

    A row for each video, with `filePath`, `timestamp` and the columns of its deployment. Or a row
    for each deployment, and beside the file one called `media.csv` with `filePath`, `deploymentID`
    and `timestamp` of each video, as in Camtrap DP.

    Raises:
        UserError: a file cannot be read, lacks a column, or holds a value that does not fit; all
            such, by line.
    """
    errors = FileErrors(path)
    header, rows = _table(errors)
    _check_columns(errors, header, NEEDED)
    errors.check()
    if not rows:
        errors.add("there is no deployment in it")
    deployments = _deployments(errors, rows)
    media_errors, media = errors, rows
    if "filePath" not in header:
        beside = pathlib.Path(path).with_name(MEDIA_FILE)
        if not beside.is_file():
            errors.add(
                "no columns 'filePath' and 'timestamp', which say when each video begins; add "
                f"them, or put a file {MEDIA_FILE} with them and 'deploymentID' beside it",
                1,
            )
            errors.check()
        media_errors = FileErrors(beside)
        header, media = _table(media_errors)
    _check_columns(media_errors, header, MEDIA_NEEDED)
    media_errors.check()
    videos = _videos(media_errors, media, deployments)
    errors.check()
    media_errors.check()
    return Deployments(deployments, videos)


def read_scientific_names(path: epath.Path) -> dict[str, str]:
    """Label of an animal -> its scientific name, from a CSV `animal,scientificName`.

    Raises:
        UserError: it cannot be read, or lacks a column.
    """
    errors = FileErrors(path)
    header, rows = _table(errors, ("animal", "scientificName"))
    _check_columns(errors, header, ("animal", "scientificName"))
    errors.check()
    return {row["animal"]: row["scientificName"] for _, row in rows if row["scientificName"]}


def _table(
    errors: FileErrors, known: Sequence[str] = (*COLUMNS, *MEDIA_NEEDED)
) -> tuple[list[str], list[_Row]]:
    """The header, in the spelling of the columns that are known, and the rows with their lines."""
    lines, _ = csv_rows(errors)
    errors.check()
    if not lines:
        errors.add("it is empty")
        errors.check()
    spelt = {name.casefold(): name for name in known}
    header = [spelt.get(name.casefold(), name) for name in lines[0][1]]
    if len(header) == 1 and ";" in header[0]:
        errors.add("the columns are separated by semicolons; save it with commas", 1)
    for name in known:
        if header.count(name) > 1:
            errors.add(f"two columns {name!r}", 1)
    rows = []
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            errors.add(f"found {len(cells)} cells, expected {len(header)}", line)
        else:
            given = ("" if cell in _MISSING else cell for cell in cells)
            rows.append((line, dict(zip(header, given, strict=True))))
    errors.check()
    return header, rows


def _check_columns(errors: FileErrors, header: Sequence[str], needed: Sequence[str]) -> None:
    for name in needed:
        if name not in header:
            offered = did_you_mean(name, header) if len(str(header)) < 10_000 else ""
            found = shortened(", ".join(header))
            errors.add(f"no column {name!r}{offered}; found {found}", 1)


def _deployments(errors: FileErrors, rows: Sequence[_Row]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    seen: dict[str, tuple[int, dict[str, str]]] = {}
    for line, row in rows:
        name = row["deploymentID"]
        written = {column: row.get(column, "") for column in COLUMNS}
        if name in seen:
            first, other = seen[name]
            for column in COLUMNS:
                if written[column] != other[column]:
                    errors.add(
                        f"{column} of deployment {quoted(name)} is {quoted(written[column])}, and "
                        f"{quoted(other[column])} in line {first}",
                        line,
                    )
            continue
        seen[name] = line, written
        for problem in _row_problems(written):
            errors.add(problem, line)
        times = [_time(written[column]) for column in _TIMES]
        if times[0] and times[1]:
            if times[1] < times[0]:
                errors.add("deploymentEnd is before deploymentStart", line)
            written = {**written, **dict(zip(_TIMES, map(_text, times), strict=True))}
        found[name] = written
    return found


def _row_problems(row: dict[str, str]) -> Iterator[str]:
    for column in NEEDED:
        if not row[column]:
            yield f"no {column}"
    for column in _TIMES:
        if row[column] and _time(row[column]) is None:
            yield _time_problem(column, row[column])
    for column, (least, most, is_whole) in _NUMBERS.items():
        text = row[column]
        if not text:
            continue
        try:
            number = int(text) if is_whole else float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most or math.isinf(number):
            kind = "a whole number" if is_whole else "a number"
            limits = f"from {least} to {most}" if most < math.inf else f"of {least} or more"
            yield f"{column} is {quoted(text)}; expected {kind} {limits}"
    for column, words in _WORDS.items():
        if row[column] and row[column] not in words:
            yield f"{column} is {quoted(row[column])}; expected {', '.join(words)}"


def _videos(
    errors: FileErrors, rows: Sequence[_Row], deployments: dict[str, dict[str, str]]
) -> dict[str, tuple[str, datetime.datetime]]:
    found: dict[str, tuple[str, datetime.datetime]] = {}
    for line, row in rows:
        path = row["filePath"].replace("\\", "/").removeprefix("./")
        time = _time(row["timestamp"])
        if not path:
            continue  # a deployment without videos
        if row["deploymentID"] not in deployments:
            errors.add(f"there is no deployment {quoted(row['deploymentID'])}", line)
        elif time is None:
            errors.add(_time_problem("timestamp", row["timestamp"]), line)
        elif found.setdefault(path, (row["deploymentID"], time)) != (row["deploymentID"], time):
            errors.add(f"another row gives {quoted(path)} another deployment or timestamp", line)
    return found


def _time(text: str) -> datetime.datetime | None:
    """A time with its zone; None where the text is none, or lacks the zone."""
    time = _parsed(text)
    zone = time.utcoffset() if time is not None else None
    is_whole = zone is not None and not zone % datetime.timedelta(minutes=1)
    return time if is_whole else None


def _parsed(text: str) -> datetime.datetime | None:
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.year in _YEARS else None


def _time_problem(column: str, text: str) -> str:
    if not text:
        return f"no {column}"
    expected = "2026-05-01T18:30:00+02:00, or with Z for UTC"
    if _parsed(text) is None or len(text) <= len("2026-05-01"):
        return f"{column} is {quoted(text)}; expected a time such as {expected}"
    return f"{column} {quoted(text)} has no time zone; expected such as {expected}"


def _text(time: datetime.datetime | None) -> str:
    return wall_clock(time) if time else ""
