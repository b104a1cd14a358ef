"""The model that a pretraining begins with."""

from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from animal_clip_jax.conversion.configs import published_normalisation
from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.clip import Clip
from animal_clip_jax.models.normalisation import Normalisation
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.recognition.zero_shot import Recogniser
from animal_clip_jax.run.pretraining_settings import CHOICES, Settings


class Start(NamedTuple):
    """The model before the first step; the values are made when they are needed.

    Attributes:
        graphdef, abstract: its structure, and the shapes of its parameters by path.
        given: the weights that it goes on from, None for random ones.
    """

    graphdef: nnx.GraphDef
    abstract: Parameters
    architecture: ClipArchitecture
    normalisation: Normalisation
    given: Recogniser | None

    @property
    def digest(self) -> str:
        """Of the given weights, "" without any."""
        return "" if self.given is None else self.given.digest

    def values(self, seed: int) -> Parameters:
        """The given weights, or random ones, a function of the seed."""
        if self.given is not None:
            return self.given.values

        def initialise(key: jax.Array) -> Parameters:
            rngs = parameters.rngs_for_values(key)
            return parameters.split(Clip(self.architecture, rngs=rngs))[1]

        return jax.jit(initialise)(jax.random.key(seed))


def start_of(settings: Settings) -> Start:
    """The model that settings ask for. Raises UserError where the weights cannot be used."""
    if settings.init_from:
        given = Recogniser.load(settings.init_from)
        architecture, normalisation = given.architecture, given.normalisation
    else:
        # Those that a video model takes which is made of these weights.
        given, normalisation = None, published_normalisation("animal_clip")
        architecture = CHOICES[settings.architecture]
    graphdef, abstract = parameters.abstract(
        lambda: Clip(
            architecture, dtype=np.dtype(settings.dtype), rngs=parameters.rngs_for_shapes()
        )
    )
    return Start(graphdef, abstract, architecture, normalisation, given)
