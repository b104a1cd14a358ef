"""What `--mode=predict` does: one video, named in the configuration, and its answer as text."""

import os

from ml_collections import ConfigDict

from animal_clip_jax.classes.vocabulary import names_or
from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.predictor import Answer, load


def predict(folder: str | os.PathLike[str], config: ConfigDict) -> str:
    """Opens a run, and says what happens in the video that `config.predict` names.

    Args:
        folder: of the run.
        config: the run's configuration with fields of `run.config.FREE_WHEN_TRAINED` changed.

    Returns:
        lines to print.

    Raises:
        UserError: there is no such run, video, animal or list of labels; or the configuration
            contradicts what was trained.
    """
    options = config.predict
    if not options.video:
        raise UserError("config.predict.video is empty; give the path of a video")
    if not os.path.isfile(options.video):
        what = "a folder" if os.path.isdir(options.video) else "not there"
        raise UserError(f"config.predict.video: {options.video} is {what}; expected a video file")
    model = load(folder, config=config)
    labels = (
        names_or(options.action_labels, model.actions),
        names_or(options.animal_labels, model.animals),
    )
    if labels != tuple(model.labels):
        model = model.with_actions(labels[0], animals=labels[1])
    animals = [name.strip() for name in options.animals.split(";") if name.strip()]
    return as_text(model.predict(options.video, animals=animals), top_k=options.top_k)


def as_text(answer: Answer, *, top_k: int) -> str:
    """The animals, then the most probable actions, a line each."""
    animals = [f"{name} {probability:.0%}" for name, probability in answer.animals]
    lines = [f"animals ({answer.animal_source}): {', '.join(animals) or 'not given'}"]
    lines += [f"{probability:7.2%}  {name}" for name, probability in answer.actions[:top_k]]
    return "\n".join(lines)
