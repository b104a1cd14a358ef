"""What parts of the method are worth on the demo: refinement, texts, where animals come from.

    make ablations

trains one model a row from the demo's configuration, tests each under every source of the animals,
and prints a table in Markdown. Interrupted, it goes on where it was; runs that are done are not
repeated.
"""

import json
import pathlib
import subprocess
import sys

from absl import app, flags

from animal_clip_jax.run import results

_DATA = flags.DEFINE_string("data", None, "the demo's converted videos", required=True)
_RECOGNISER = flags.DEFINE_string(
    "recogniser", None, "image-text model, see animal_clip_jax.finetune_recogniser", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "folder of the runs and the table", required=True)
_EPOCHS = flags.DEFINE_integer("epochs", 40, "of each run", lower_bound=3)
_SEED = flags.DEFINE_integer("seed", 0, "of each run")

_ROOT = pathlib.Path(__file__).parent.parent
_SOURCES = ("none", "labels", "predicted", "learned")
_FIGURES = ("top1", "top1_unseen_pairs", "top1_unseen_animals")
_RECOGNITION = ("animals_top1", "animals_top5", "animals_mAP")


def _texts(kind: str) -> dict[str, str]:
    if kind != "descriptions":
        return {"prompts.actions": kind, "prompts.animals": kind}
    folder = _ROOT / "configs" / "demo_descriptions"
    return {f"prompts.{name}": str(folder / f"{name}.csv") for name in ("actions", "animals")}


# Title, and what differs from the demo's configuration, which withholds the animals of half of the
# training clips.
_VARIANTS = {
    "refinement-names": ("yes, names, half withheld", _texts("names")),
    "refinement-templates": ("yes, templates, half withheld", _texts("templates")),
    "refinement-descriptions": ("yes, descriptions, half withheld", _texts("descriptions")),
    "none-withheld": (
        "yes, names, none withheld",
        {**_texts("names"), "animals.label_dropout": "0"},
    ),
    "predicted": (
        "yes, names, half replaced by predicted ones",
        {**_texts("names"), "animals.otherwise": "predicted"},
    ),
    "plain-names": ("no, names", {**_texts("names"), "model.refinement": "False"}),
    "plain-templates": ("no, templates", {**_texts("templates"), "model.refinement": "False"}),
    "plain-descriptions": (
        "no, descriptions",
        {**_texts("descriptions"), "model.refinement": "False"},
    ),
}


def run(name: str, fields: dict[str, str], folder: pathlib.Path) -> dict[str, float]:
    """Trains and tests one variant, unless that was done before.

    Returns:
        the figures of its evaluation at the end.
    """
    workdir = folder / name
    finished = workdir / "finished.json"
    if not finished.exists():
        fields = {
            "data.directory": _DATA.value,
            "animals.weights": _RECOGNISER.value,
            "evaluation.animal_sources": repr(_SOURCES),
            "evaluation.shuffle_frames": "False",
            "evaluation.every_epochs": str(_EPOCHS.value),
            "epochs": str(_EPOCHS.value),
            "seed": str(_SEED.value),
            **fields,
        }
        command = [sys.executable, "main.py", "--config=configs/demo.py", f"--workdir={workdir}"]
        command += [f"--config.{field}={value}" for field, value in fields.items()]
        subprocess.run(command, cwd=_ROOT, check=True)
        (result,) = (workdir / results.FOLDER).iterdir()
        content = json.loads((result / results.METRICS_FILE).read_text(encoding="utf-8"))
        finished.write_text(json.dumps(content["metrics"]), encoding="utf-8")
    return json.loads(finished.read_text(encoding="utf-8"))


def table(figures_of: dict[str, dict[str, float]]) -> str:
    """Markdown: a row a variant, a column a source; and the recognisers' own figures."""
    rows = [["refinement, texts, training", *(f"animals: {source}" for source in _SOURCES)]]
    for name, figures in figures_of.items():
        cells = [
            " / ".join(f"{100 * figures[f'{source}/{figure}']:.1f}" for figure in _FIGURES)
            for source in _SOURCES
        ]
        # Without refinement animals do not matter: one cell says it all.
        is_same = len(set(cells)) == 1
        rows.append([_VARIANTS[name][0], *([cells[0]] + [""] * 3 if is_same else cells)])
    recognised = [["recogniser", "top-1", "top-5", "mAP"]]
    figures = next(iter(figures_of.values()))
    for source in ("predicted", "learned"):
        cells = [f"{100 * figures[f'{source}/{figure}']:.1f}" for figure in _RECOGNITION]
        recognised.append([source, *cells])
    return f"{_markdown(rows)}\n\n{_markdown(recognised)}\n"


def _markdown(rows: list[list[str]]) -> str:
    header, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([header, "|" + " --- |" * len(rows[0]), *body])


def main(argv: list[str]) -> None:
    """Runs all variants and prints the table."""
    del argv
    folder = pathlib.Path(_OUTPUT.value).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    figures_of = {}
    for name, (title, fields) in _VARIANTS.items():
        print(f"{title}: {folder / name}", flush=True)
        figures_of[name] = run(name, fields, folder)
        (folder / "table.md").write_text(table(figures_of), encoding="utf-8")
    print(table(figures_of))


if __name__ == "__main__":
    app.run(main)
