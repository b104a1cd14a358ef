"""Which of the forms is read, where annotations are distributed in several."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from animal_clip_jax.errors import MissingFileError, UserError, quoted, shortened
from data_pipeline.annotations.label_files import find_file
from data_pipeline.annotations.layouts import Sought, find, sought
from data_pipeline.annotations.record import AnnotationError

# Of each form, in the order of preference: the names that the file of each of its parts may have.
Forms = Mapping[str, Mapping[str, Sequence[str]]]
OPTIONAL_PARTS = frozenset(("val",))


@dataclass(frozen=True)
class Form:
    """A form of the annotations that is there.

    Attributes:
        name: of the form.
        files: of each of its parts, which are splits as a rule.
    """

    name: str
    files: Mapping[str, Path]

    def __str__(self) -> str:
        return f"the {self.name} ({', '.join(map(str, self.files.values()))})"


def choose_form(
    forms: Forms, folders: Sequence[Path], wanted: Path | None, *, dataset: str
) -> tuple[Form, list[Form]]:
    """The form that is read, and the others that are there.

    Args:
        forms: that the data set has.
        folders: where to look for the files.
        wanted: a file of the form that a person wants, by its path or by its name in one of the
            folders; None takes the first form that is there with all its parts.
        dataset: its name, for messages.

    Raises:
        FileNotFoundError: there is none, or a part of it is missing.
        AnnotationError: the wanted file has a name that belongs to no form.
    """
    there = []
    for name, parts in forms.items():
        found = {part: find(folders, names) for part, names in parts.items()}
        files = {part: path for part, path in found.items() if path is not None}
        if not parts.keys() - files.keys() - OPTIONAL_PARTS:
            there.append(Form(name, files))
    if wanted is not None:
        form = _form_of(wanted, forms, folders)
        return form, [other for other in there if other.name != form.name]
    if there:
        return there[0], there[1:]
    for name, parts in forms.items():
        if any(find(folders, names) for names in parts.values()):
            _files_of(name, parts, folders)
    listed = ", ".join(names[0] for parts in forms.values() for names in parts.values())
    raise MissingFileError(
        f"no annotations of {dataset}: none of {listed} is in {' or '.join(map(str, folders))}"
    )


def sought_files(forms: Forms, folders: Sequence[Path]) -> list[Sought]:
    """The files of all forms."""
    return [
        sought(f"{name}, {part}" if len(parts) > 1 else name, names, folders)
        for name, parts in forms.items()
        for part, names in parts.items()
    ]


def choice_note(form: Form, others: Sequence[Form]) -> str:
    """Which form is read, for a person."""
    note = f"the annotations are those of {form}"
    if not others:
        return note
    return f"{note}; not read: {' and '.join(map(str, others))}; --annotations=FILE chooses another"


def contradiction(
    here: Mapping[str, object],
    form: Form,
    other: Form,
    read: Callable[[Form], Mapping[str, object]],
) -> str:
    """How the clips of another form differ from those that are read.

    Args:
        here: of each clip id, what both forms say of it, such as its split.
        form: that is read.
        other: that is not.
        read: reads the same of the other.

    Returns:
        A note; "" where nothing differs.
    """
    try:
        there = read(other)
    except UserError as error:
        return f"{other} cannot be compared with the {form.name}: {error}"
    lacking = [name for name in here if name not in there]
    more = [name for name in there if name not in here]
    otherwise = [name for name in here if name in there and there[name] != here[name]]
    different = [*otherwise, *lacking, *more]
    if not different:
        return ""
    clips = f"{len(different)} clip{'s' * (len(different) != 1)}"
    return (
        f"the {other.name} differs from the {form.name} in {clips}: {len(otherwise)} listed "
        f"otherwise, {len(lacking)} not listed, {len(more)} more; the first is "
        f"{shortened(different[0])}"
    )


def _form_of(wanted: Path, forms: Forms, folders: Sequence[Path]) -> Form:
    """The form that a file belongs to by its name, with its other files, beside it first."""
    path = wanted if wanted.is_file() else find(folders, [str(wanted)])
    if path is None:
        where = " or ".join(map(str, folders))
        raise MissingFileError(f"the annotations {wanted} are neither there nor in {where}", wanted)
    name_of_file = path.name.casefold()
    for name, parts in forms.items():
        for part, names in parts.items():
            suffixes = {Path(other).suffix for other in names}
            # Of a form that is a single file, the suffix is enough.
            is_it = path.suffix.casefold() in suffixes and len(parts) == 1
            if is_it or name_of_file in map(str.casefold, names):
                return _files_of(name, parts, [path.parent, *folders], {part: path})
    listed = ", ".join(
        name for parts in forms.values() for names in parts.values() for name in names
    )
    raise AnnotationError(
        f"{path}: the name {quoted(path.name)} is of no form that is known; expected one of "
        f"{listed}"
    )


def _files_of(
    name: str,
    parts: Mapping[str, Sequence[str]],
    folders: Sequence[Path],
    known: Mapping[str, Path] | None = None,
) -> Form:
    """The files of a form.

    Raises:
        FileNotFoundError: one that must be there is not.
    """
    files = dict(known or {})
    for part, names in parts.items():
        if part in OPTIONAL_PARTS and find(folders, names) is None:
            continue
        if part not in files:
            files[part] = find_file(folders, names, f"{part} split of the {name}")
    return Form(name, {part: files[part] for part in parts if part in files})
