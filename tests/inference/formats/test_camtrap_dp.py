"""The package of Camtrap DP, and the table of deployments that it is made with."""

import csv
import dataclasses
import datetime
import json
import pathlib
import shutil

import frictionless
import jsonschema
import made_results as made
import pytest
from etils import epath

from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.formats import camtrap_dp
from animal_clip_jax.inference.formats.deployments import read_deployments

SCHEMAS = pathlib.Path(__file__).parents[4] / "shared" / "formats" / "camtrap-dp-1.0.2"
needs_schemas = pytest.mark.skipif(not SCHEMAS.is_dir(), reason="the schemas are not here")


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def package(results, out, options, tmp_path):
    names = tmp_path / "names.csv"
    names.write_text("animal,scientificName\nRed Fox,Vulpes vulpes\nWolf,Canis lupus\n")
    options = dataclasses.replace(options, scientific_names=epath.Path(names))
    return {path.name: path for path in camtrap_dp.write(results, out, options)}


@needs_schemas
def test_frictionless_finds_the_package_valid(package, tmp_path):
    folder = tmp_path / "validated"
    shutil.copytree(package["datapackage.json"].parent, folder)
    # Nothing is fetched: the schemas take the place of their addresses.
    content = json.loads(package["datapackage.json"].read_text())
    del content["profile"]
    for resource in content["resources"]:
        name = resource["schema"].rpartition("/")[2]
        resource["schema"] = json.loads((SCHEMAS / name).read_text())
    (folder / "datapackage.json").write_text(json.dumps(content))
    report = frictionless.validate(str(folder / "datapackage.json"))
    assert report.valid, report.flatten(["rowNumber", "fieldName", "note"])
    assert [task.stats["rows"] for task in report.tasks] == [2, 6, 8]


@needs_schemas
def test_the_package_is_as_the_profile_says(package):
    profile = json.loads((SCHEMAS / "camtrap-dp-profile.json").read_text())
    own = profile["allOf"][1]
    del own["properties"]["spatial"]["$ref"]  # of another host
    schema = {**profile, "allOf": [own]}
    content = json.loads(package["datapackage.json"].read_text())
    validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
    assert [error.message for error in validator.iter_errors(content)] == []


def test_bouts_are_by_the_clock(package):
    rows = table(package["observations.csv"])
    first = rows[:3]
    assert [(row["eventStart"], row["eventEnd"]) for row in first] == [
        ("2026-05-01T23:59:31+02:00", "2026-05-01T23:59:35+02:00"),
        ("2026-05-01T23:59:32+02:00", "2026-05-01T23:59:37+02:00"),
        ("2026-05-01T23:59:40+02:00", "2026-05-01T23:59:42+02:00"),
    ]
    assert {row["observationLevel"] for row in rows} == {"media"}
    assert [row["scientificName"] for row in first] == ["Vulpes vulpes", "", "Vulpes vulpes"]
    assert [row["behavior"] for row in first] == [made.ACTIONS[n] for n in (0, 1, 0)]
    assert rows[3]["behavior"] == "Grooming & <licking> / ~"  # a | separates behaviours


def test_what_is_seen_is_listed(package):
    content = json.loads(package["datapackage.json"].read_text())
    assert content["taxonomic"] == [{"scientificName": "Vulpes vulpes"}]
    assert content["spatial"]["bbox"] == [13.4, -1.25, 36.8, 52.5]


def test_what_is_said_of_videos_without_bouts(package):
    rows = table(package["observations.csv"])
    kinds = {row["mediaID"]: row["observationType"] for row in rows}
    assert kinds == {
        made.WITH_BOUTS.name: "animal",
        made.TO_ITS_MIDDLE.name: "animal",
        "c.mp4": "animal",
        "d.mp4": "unclassified",
        "e/blank.mov": "blank",
        "f.mp4": "unknown",
    }
    failed = next(row for row in rows if row["mediaID"] == "d.mp4")
    assert failed["classificationMethod"] == ""
    media = {row["mediaID"]: row for row in table(package["media.csv"])}
    assert media["d.mp4"]["mediaComments"] == made.FAILED.problem
    assert media["e/blank.mov"]["deploymentID"] == "B"
    assert media["e/blank.mov"]["timestamp"] == "2026-05-02T04:00:00+00:00"


def test_a_table_of_media_beside_that_of_deployments(deployments, tmp_path):
    expected = read_deployments(epath.Path(deployments))
    rows = table(deployments)
    media_columns = ("filePath", "timestamp")
    own = {row["deploymentID"]: row for row in rows}.values()
    folder = tmp_path / "two"
    folder.mkdir()
    for name, lines, columns in (
        ("deployments.csv", own, [c for c in rows[0] if c not in media_columns]),
        ("media.csv", rows, ["deploymentID", *media_columns]),
    ):
        with open(folder / name, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(lines)
    assert read_deployments(epath.Path(folder / "deployments.csv")) == expected


def test_a_row_may_name_more_folders_than_the_video_but_not_fewer(deployments):
    found = read_deployments(epath.Path(deployments))
    assert found.of_video("blank.mov", "/mnt/data/e/blank.mov")[0] == "B"
    assert found.of_video("camera 2/c.mp4", "/data/camera 2/c.mp4") is None
    assert found.of_video("blank.mov", "/mnt/other/e/blank.mov") is None
    start = found.of_video("c.mp4", "/data/c.mp4")[1]
    assert start == datetime.datetime(2026, 5, 2, 2, 0, 0, 250_000, datetime.UTC)


@pytest.mark.parametrize(
    "old, new, expected",
    [
        ("23:59:30+02:00", "23:59:30", "line 2: timestamp '2026-05-01T23:59:30' has no time zone"),
        ("2026-04-30T10:00:00+02:00", "30.4.2026", "deploymentStart is '30.4.2026'; expected a"),
        ("2026-04-30T10:00:00+02:00", "2026-04-30", "deploymentStart is '2026-04-30'; expected"),
        ("2026-04-30T10:00:00+02:00", "", "line 2: no deploymentStart"),
        ("2026-04-30T10:00:00+02:00", "2027-04-30T10:00:00+02:00", "End is before deployment"),
        ("52.5", "95", "latitude is '95'; expected a number from -90 to 90"),
        ("52.5", "inf", "latitude is 'inf'"),
        ("52.5", "", "line 2: no latitude"),
        ("52.5", "NA", "line 2: no latitude"),
        ("23:59:30+02:00", "23:59:30+02:00:30", "line 2: timestamp"),
        ("2026-05-01T23:59:30", "9999-12-31T23:59:59", "line 2: timestamp"),
        (made.DEPLOYMENTS[made.DEPLOYMENTS.index("\n") :], "\n", "there is no deployment in it"),
        ("latitude", "lattitude", "no column 'latitude'; did you mean lattitude?"),
        (",false", ",no", "baitUse is 'no'; expected true, false"),
        ("f.mp4,2026-05-02T05:00:00Z,B,-1.25", "f.mp4,2026-05-02T05:00:00Z,B,-1.26",
         "line 7: latitude of deployment 'B' is '-1.26', and '-1.25' in line 3"),
        ("f.mp4", "c.mp4", "line 7: another row gives 'c.mp4' another deployment or timestamp"),
        ("timestamp", "when", "no column 'timestamp'"),
        ("filePath", "path", "no columns 'filePath' and 'timestamp'"),
        (",B,", ",,", "no deploymentID"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_of_deployments(deployments, old, new, expected):
    assert old in made.DEPLOYMENTS
    deployments.write_text(made.DEPLOYMENTS.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_deployments(epath.Path(deployments))
    assert expected in str(error.value) and "\n" not in str(error.value)


def test_a_table_with_semicolons(deployments):
    deployments.write_text("filePath;timestamp;deploymentID\nc.mp4;;A\n")
    with pytest.raises(UserError, match="separated by semicolons; save it with commas"):
        read_deployments(epath.Path(deployments))


def test_the_place_of_a_single_deployment_is_a_point(results, out, options, deployments):
    one = made.DEPLOYMENTS.replace(",52.5,13.4,", ",-1.25,36.8,")
    deployments.write_text(one, encoding="utf-8")
    path = camtrap_dp.write(results, out, options)[0]
    content = json.loads(path.read_text())
    assert content["spatial"] == {"type": "Point", "coordinates": [36.8, -1.25]}
    assert content["temporal"] == {"start": "2026-04-30", "end": "2026-06-01"}
