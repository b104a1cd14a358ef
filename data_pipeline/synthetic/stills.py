"""Single pictures with captions, from which an image-text model learns what words mean.

No picture for training shows an animal that training of the actions withholds: such an animal is
known by its attributes alone, each of which other animals have. Half of the pictures for training
show creatures that are drawn at random and have no name, as most of what an image-text model meets
in the wild has none, so that attributes are learned in every combination but those of the withheld
animals. Pictures for the test show all animals. A picture's label is its animal's name, "" of a
creature.

Poses, places and parts are those of all actions; the pictures of the unseen action's poses are
captioned like the others, by what is to be seen, and no caption has the name of an action.
"""

import functools
import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from data_pipeline.pairs.record import Pair
from data_pipeline.synthetic.animals import ANIMALS, PARTS, UNSEEN, VALUES, Animal
from data_pipeline.synthetic.clips import render_still
from data_pipeline.synthetic.motions import PAIRS
from data_pipeline.synthetic.scenes import SCENES
from data_pipeline.synthetic.texts import caption
from data_pipeline.synthetic.videos import in_processes

CAPTIONS = 2  # of each picture
SPLITS = ("train", "test")


def animals_of(split: str) -> tuple[Animal, ...]:
    """Who is in the pictures of a split."""
    return tuple(animal for animal in ANIMALS if split == "test" or animal.name not in UNSEEN)


def creature(rng: np.random.Generator) -> Animal:
    """A body with attributes at random, other than all those of a withheld animal together."""
    withheld = [animal.attributes() for animal in ANIMALS if animal.name in UNSEEN]
    while True:
        values = {name: _one(known, rng) for name, known in VALUES.items()}
        values |= {name: _one(known, rng) for name, known in PARTS[values["body"]].items()}
        if values["pattern"] == "plain":
            values["markings"] = values["colour"]
        elif values["markings"] == values["colour"]:
            continue
        drawn = Animal(name="", **values)
        if drawn.attributes() not in withheld:
            return drawn


def captioned_stills(
    split: str, number: int, *, seed: int, size: int, workers: int = 1
) -> Iterator[Pair]:
    """Pictures, all animals equally often, and in training as many creatures; as JPEG as good as
    that of converted videos.

    Args:
        split: "train" or "test".
        number: of pictures.
        seed: another seed, other pictures.
        size: height and width in pixels.
        workers: processes, of which pictures do not depend.
    """
    make = functools.partial(_captioned_still, split=split, seed=seed, size=size)
    return in_processes(make, range(number), workers=workers, title=f"pictures ({split})")


def _captioned_still(index: int, split: str, seed: int, size: int) -> Pair:
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    animals = animals_of(split)
    if split == "train" and index % 2:
        animal = creature(rng)
    else:
        animal = animals[(index // 2 if split == "train" else index) % len(animals)]
    able = [pair for pair in PAIRS if pair.suits(animal)]
    pair, scene = _one(able, rng), _one(SCENES, rng)
    still = render_still(animal, pair, scene, rng, size=size)
    texts = [
        caption(
            animal,
            scene,
            still.pose,
            y=still.y,
            size=still.size,
            pitch=still.pitch,
            rng=rng,
            may_be_named=animal.name not in (*UNSEEN, ""),
        )
        for _ in range(CAPTIONS)
    ]
    file = io.BytesIO()
    Image.fromarray(still.pixels).save(file, "JPEG", quality=92, subsampling=0)
    return Pair(file.getvalue(), tuple(texts), animal.name)


def _one(items: Sequence, rng: np.random.Generator):
    return items[int(rng.integers(len(items)))]
