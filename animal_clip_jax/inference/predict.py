"""What `animal-clip predict` and `--mode=predict` print of a few videos."""

import os
from collections.abc import Sequence

from ml_collections import ConfigDict

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import check_is_file
from animal_clip_jax.inference.answers import GIVEN, Answer
from animal_clip_jax.inference.loading import load_as_configured
from animal_clip_jax.models.animal_sources import IN_WORDS
from data_pipeline.limits import shown


def predict(folder: str | os.PathLike[str], config: ConfigDict, videos: Sequence[str] = ()) -> str:
    """Opens a run, and says what happens in videos.

    Args:
        folder: of the run.
        config: the run's configuration with fields of `run.config.FREE_WHEN_TRAINED` changed.
        videos: paths; none takes the one that `config.predict.video` names.

    Returns:
        lines to print.

    Raises:
        UserError: there is no such run, video, animal or list of labels; or the configuration
            contradicts what was trained.
    """
    options = config.predict
    if not videos and not options.video:
        raise UserError("config.predict.video is empty; give the path of a video")
    paths = [str(check_is_file(video, "a video")) for video in videos or [options.video]]
    model = load_as_configured(folder, config)
    animals = animals_given(config)
    if len(paths) == 1:
        return as_text(model.predict(paths[0], animals=animals), top_k=options.top_k)
    answers = model.predict(paths, animals=animals)
    texts = [as_text(answer, top_k=options.top_k) for answer in answers]
    return "\n\n".join(f"{shown(path)}\n{text}" for path, text in zip(paths, texts, strict=True))


def animals_given(config: ConfigDict) -> tuple[str, ...]:
    """The animals that a person says are in the videos."""
    return tuple(name.strip() for name in config.predict.animals.split(";") if name.strip())


def as_text(answer: Answer, *, top_k: int) -> str:
    """The animals, then the most probable actions, a line each, and what there is to note.

    Animals that would be listed with 0% are left out.
    """
    lines = [_animals(answer)]
    lines += [f"{probability:7.2%}  {name}" for name, probability in answer.actions[:top_k]]
    if answer.note:
        lines.append(f"note: {answer.note}")
    return "\n".join(lines)


def _animals(answer: Answer) -> str:
    if not answer.animals:
        return "animals: not given to the model"
    if answer.animal_source == GIVEN:
        return f"animals: {', '.join(name for name, _ in answer.animals)} (given)"
    shares = [(name, f"{probability:.0%}") for name, probability in answer.animals]
    listed = [(name, share) for name, share in shares if share != "0%"]
    # Of very many animals none may reach a percent.
    listed = listed or [(shares[0][0], "less than 1%")]
    names = ", ".join(f"{name} {share}" for name, share in listed)
    return f"animals: {names} (recognised, {IN_WORDS[answer.animal_source]})"
