"""Labels as BORIS can take them.

Some characters separate things in BORIS's files and tables; a label with them would come back as
another. They are replaced by similar ones, and the project keeps the label as the description.
"""

from collections import defaultdict

from animal_clip_jax.errors import quoted
from animal_clip_jax.inference.formats.timeline import readable
from animal_clip_jax.inference.results import Header
from data_pipeline.annotations import boris_project

NO_SUBJECT = "No focal subject"


def boris_name(label: str) -> str:
    """The code of a behaviour or the name of a subject, for a label; see
    `boris_project.boris_name`."""
    return boris_project.boris_name(readable(label))


def name_problems(header: Header) -> list[str]:
    """Labels that BORIS could not tell apart, or could not show, a line each."""
    found = []
    for what, labels in (("action", header.actions), ("animal", header.animals)):
        of_name: dict[str, list[str]] = defaultdict(list)
        for label in labels:
            of_name[boris_name(label)].append(label)
        for name, alike in of_name.items():
            if len(alike) > 1 or not name:
                shown = ", ".join(map(quoted, alike))
                found.append(f"the {what}s {shown} would all be {quoted(name)} in BORIS")
    return found
