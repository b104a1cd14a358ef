"""Where a model learns which animals are in a clip.

- `labels`: the annotated animals, as published. A video that nobody labelled has none.
- `predicted`: probabilities from a frozen image–text model, by how well the animals' names fit what
  it sees. Any list of animals will do.
- `learned`: probabilities from a light head on the same frozen features, fitted to the training
  split. It knows only the animals that the split shows.
- `none`: the model is told nothing.
"""

from collections.abc import Iterable

SOURCES = ("labels", "predicted", "learned", "none")
RECOGNISED = ("predicted", "learned")
# The animals of a clip under each source, for a person.
IN_WORDS = {
    "labels": "ground truth",
    "predicted": "zero-shot",
    "learned": "linear probe",
    "none": "not given",
}


def recognised_of(sources: Iterable[str]) -> tuple[str, ...]:
    """Those of some sources that are recognised, in the order of `RECOGNISED`: the processes of a
    job compute and exchange what each says in one order, which that of a set would not be."""
    given = set(sources)
    return tuple(source for source in RECOGNISED if source in given)


def animal_weights(batch, source: str):
    """What the model is told of the animals in each clip of a batch.

    Args:
        batch: holds `animals` (clips, animals), annotated, multi-hot; and for a recognised source
            `animal_weights` of the same shape.
        source: one of `SOURCES`.

    Returns:
        (clips, animals).
    """
    if source == "none":
        return 0 * batch["animals"]
    return batch["animals" if source == "labels" else "animal_weights"]
