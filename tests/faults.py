"""Puts faults into a copy of the program, one by one, and looks whether the tests notice.

`python tests/faults.py` takes a quarter of an hour; `--only N` tries one. No test of the suite.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parent.parent
WIRING, FIELDS = "tests/run/test_wiring.py", "tests/run/test_fields.py"
WIRING_OF_TRAINING = "tests/run/test_wiring_of_training.py"
A_FIELD = f"{FIELDS}::test_a_field_acts_where_it_should_and_nowhere_else"
RUN = "animal_clip_jax/run"


class Fault(NamedTuple):
    """A line that is wrong.

    Attributes:
        what: goes wrong.
        path: of the file.
        right, wrong: what stands there once, and what takes its place.
        test: that must fail then.
    """

    what: str
    path: str
    right: str
    wrong: str
    test: str


FAULTS = (
    Fault(
        "predict scores raw pixels",
        "animal_clip_jax/inference/loading.py",
        "normalisation=run.normalisation,",
        "normalisation=Normalisation((0.0,) * 3, (1.0,) * 3),",
        f"{WIRING}::test_a_prediction_is_the_mean_over_the_views",
    ),
    Fault(
        "the number of temporal views never reaches the scoring",
        f"{RUN}/evaluator.py",
        "temporal_views=options.temporal_views,",
        "temporal_views=1,",
        f"{WIRING}::test_the_figures_of_an_evaluation",
    ),
    Fault(
        "what passes by a widening MLP of MViT is not normed",
        "animal_clip_jax/models/pooling_attention.py",
        "else self.widening(normed)",
        "else self.widening(x)",
        "tests/models/test_pooling_attention.py::test_a_block_is_a_plain_loop",
    ),
    Fault(
        "EVL reads what comes next where it reads what was",
        "animal_clip_jax/models/evl_decoder.py",
        "told(before, self.past[...])",
        "told(before, self.future[...])",
        "tests/models/test_evl_decoder.py::test_motion_is_a_plain_loop",
    ),
    Fault(
        "optimizer.new_multiplier is ignored",
        f"{RUN}/assembly.py",
        "(optimizer_lib.NEW, options.new_multiplier),",
        "(optimizer_lib.NEW, 1.0),",
        f"{WIRING_OF_TRAINING}::test_the_optimizer_follows_the_configuration",
    ),
    Fault(
        "warm-up is counted in steps",
        f"{RUN}/assembly.py",
        "warmup_steps=steps_per_epoch * config.warmup_epochs,",
        "warmup_steps=config.warmup_epochs,",
        f"{WIRING_OF_TRAINING}::test_the_optimizer_follows_the_configuration",
    ),
    Fault(
        "training on learned animals takes the head that was fitted to the very clips",
        f"{RUN}/train.py",
        "recognition.weights(told_by, data.train, is_training=True)",
        "recognition.weights(told_by, data.train)",
        f"{WIRING_OF_TRAINING}::test_training_on_learned_animals_is_told_what_a_new_clip_would_be",
    ),
    Fault(
        "top_k is dropped for the held-out probabilities",
        f"{RUN}/animals.py",
        "l2=options.head_l2,\n                top_k=options.top_k,",
        "l2=options.head_l2,",
        f"{WIRING_OF_TRAINING}::test_training_on_learned_animals_is_told_what_a_new_clip_would_be",
    ),
    Fault(
        "the evaluation with shuffled frames leaves them in order",
        f"{RUN}/evaluator.py",
        "seeds = (None, self._config.seed) if",
        "seeds = (None, None) if",
        f"{WIRING}::test_the_figures_of_an_evaluation",
    ),
    Fault(
        "scoring leaves shuffled frames in order",
        "animal_clip_jax/evaluation/split_scores.py",
        "frames = view[np.arange(num_clips)[:, None], orders[:, number]]",
        "frames = view",
        f"{WIRING}::test_scores_of_shuffled_frames",
    ),
    Fault(
        "views are summed as logits",
        "animal_clip_jax/evaluation/scoring.py",
        "return to_probabilities(logits / temperature)",
        "return logits / temperature",
        f"{WIRING}::test_scores_are_the_probabilities_summed_over_the_views",
    ),
    Fault(
        "the evaluation after an epoch scores the raw parameters",
        f"{RUN}/judge.py",
        "state.evaluated(),\n            classes,\n            clips,",
        "{**state.trained, **state.frozen},\n            classes,\n            clips,",
        f"{WIRING}::test_the_averages_are_scored_after_an_epoch",
    ),
    Fault(
        "animals.label_dropout is ignored by training",
        f"{RUN}/assembly.py",
        "label_dropout=config.animals.label_dropout,",
        "label_dropout=0.0,",
        f"{WIRING_OF_TRAINING}::test_the_step_is_set_as_the_configuration_says",
    ),
    Fault(
        "animals.label_dropout changes no loss",
        f"{RUN}/assembly.py",
        "label_dropout=config.animals.label_dropout,",
        "label_dropout=0.0,",
        f"{A_FIELD}[animals.label_dropout]",
    ),
    Fault(
        "a probe is fitted on data that the model was not trained on",
        f"{RUN}/evaluate.py",
        "is_same_data = not is_open and is_trained_on(run, info, digest)",
        "is_same_data = not is_open",
        f"{WIRING}::test_no_probe_is_fitted_to_other_data_with_the_same_labels",
    ),
    Fault(
        "prediction looks at one temporal view",
        "animal_clip_jax/inference/loading.py",
        "config.evaluation.temporal_views,\n            config.evaluation.crops,",
        "1,\n            config.evaluation.crops,",
        f"{WIRING}::test_a_prediction_is_the_mean_over_the_views",
    ),
    Fault(
        "evaluation.scores is ignored",
        f"{RUN}/evaluator.py",
        "outputs=assembly.scores(config))",
        "outputs=assembly.outputs(config))",
        f"{WIRING}::test_scores_as_published_whatever_the_loss",
    ),
    Fault(
        "data.flip is ignored by training",
        f"{RUN}/train.py",
        "flip=config.data.flip,",
        "flip=True,",
        f"{WIRING_OF_TRAINING}::test_the_first_batch_is_what_the_configuration_says",
    ),
    Fault(
        "the clips of the validation are trained on",
        f"{RUN}/train.py",
        "rows=data.train.rows,",
        "rows=None,",
        f"{WIRING_OF_TRAINING}::test_the_first_batch_is_what_the_configuration_says",
    ),
    Fault(
        "the best checkpoint is chosen without its figure",
        f"{RUN}/train.py",
        "return is_new_best or epoch % config.checkpoint.every_epochs == 0",
        "return epoch % config.checkpoint.every_epochs == 0",
        "tests/run/test_selection.py::test_the_best_is_chosen_on_clips_that_are_not_trained_on",
    ),
    Fault(
        "the digest of a conversion leaves out the split of each clip",
        "data_pipeline/conversion/description.py",
        "(clip.split, clip.path, clip.actions,",
        "(clip.path, clip.actions,",
        "tests/data_pipeline/test_convert_again.py",
    ),
    Fault(
        "the focal loss gives alpha to the negatives",
        "animal_clip_jax/training/losses.py",
        "weight = alpha * targets + (1 - alpha) * (1 - targets)",
        "weight = alpha * (1 - targets) + (1 - alpha) * targets",
        "tests/training/test_losses.py",
    ),
    Fault(
        "the asymmetric loss is averaged over the batch",
        "animal_clip_jax/training/losses.py",
        '"asymmetric": "sum",',
        '"asymmetric": "mean",',
        "tests/training/test_losses.py",
    ),
    Fault(
        "an index of weights names files outside its folder",
        "animal_clip_jax/conversion/readers.py",
        "isinstance(name, str) and pathlib.PurePath(name).name == name",
        "isinstance(name, str)",
        "tests/conversion/test_readers.py",
    ),
    Fault(
        "a link leads from an index of weights to any file",
        "animal_clip_jax/conversion/readers.py",
        "if file.resolve().parent not in places:",
        "if not file.resolve().parent:",
        "tests/conversion/test_hostile_files.py",
    ),
    Fault(
        "weights that are infinite are converted",
        "animal_clip_jax/conversion/state_dicts.py",
        "if not np.isfinite(part).all()",
        "if np.isnan(part).any()",
        "tests/conversion/test_conversion.py::test_weights_that_are_not_finite",
    ),
    Fault(
        "a view of a tensor ends one value beyond its storage",
        "animal_clip_jax/conversion/stored_tensors.py",
        "(count and last >= values.size)",
        "(count and last > values.size)",
        "tests/conversion/test_torch_archive.py",
    ),
    Fault(
        "the step hands the model no key",
        "animal_clip_jax/training/step.py",
        "lambda model: model(frames, classes, animals, key=path_key)",
        "lambda model: model(frames, classes, animals, key=None)",
        "tests/training/test_step.py",
    ),
    Fault(
        "label dropout is drawn for each clip and animal",
        "animal_clip_jax/training/step.py",
        "dropout_key, 1 - settings.label_dropout, (animals.shape[0], 1)",
        "dropout_key, 1 - settings.label_dropout, animals.shape",
        "tests/training/test_step.py",
    ),
    Fault(
        "the smallest scale of cropping is another",
        "data_pipeline/batches/crops.py",
        "MULTI_SCALES = (1.0, 0.875, 0.75, 0.66)",
        "MULTI_SCALES = (1.0, 0.875, 0.75, 0.5)",
        "tests/data_pipeline/batches/test_crops.py",
    ),
    Fault(
        "frames of short clips are rounded down",
        "data_pipeline/batches/sampling.py",
        "spread = np.rint(step * frames / num_samples)",
        "spread = np.floor(step * frames / num_samples)",
        "tests/data_pipeline/batches/test_sampling.py",
    ),
    Fault(
        "an infinite loss is not noticed",
        f"{RUN}/watch.py",
        "if not math.isfinite(value)]",
        "if math.isnan(value)]",
        "tests/run/test_watch.py",
    ),
    Fault(
        "lower bounds of the configuration are not checked",
        f"{RUN}/accepted.py",
        "lambda value: least <= value <= most)",
        "lambda value: value <= most)",
        "tests/run/test_schema.py",
    ),
    Fault(
        "stochastic depth is the same in all layers",
        "animal_clip_jax/models/video.py",
        "rates = np.linspace(0.0, drop_path_rate,",
        "rates = np.linspace(drop_path_rate, drop_path_rate,",
        "tests/models/test_layers.py",
    ),
    Fault(
        "residual kernels begin as large as the others",
        "animal_clip_jax/models/layers.py",
        "residual_std = width**-0.5 * (2 * depth) ** -0.5",
        "residual_std = width**-0.5",
        "tests/models/test_layers.py",
    ),
    Fault(
        "hue turns one way only",
        "animal_clip_jax/training/augmentation.py",
        "shape, minval=-hue, maxval=hue)",
        "shape, minval=0.0, maxval=hue)",
        "tests/training/test_augmentation.py",
    ),
    Fault(
        "what a killed save left is not tidied",
        f"{RUN}/checkpoints.py",
        "cleanup_tmp_directories=tidies,",
        "cleanup_tmp_directories=False,",
        "tests/run/test_checkpoints.py",
    ),
    Fault(
        "running variances are those that normalise",
        "animal_clip_jax/models/convolution.py",
        "variance * (count / (count - 1))",
        "variance",
        "tests/models/test_convolution.py::test_batch_statistics_and_their_running_means",
    ),
    Fault(
        "strided convolutions pad at the end first",
        "animal_clip_jax/models/convolution.py",
        "padding=[(size // 2, size // 2) for size in kernel],",
        'padding="SAME",',
        "tests/models/test_convolution.py::test_a_convolution_and_its_norm_in_training",
    ),
    Fault(
        "a step leaves the running statistics as they were",
        "animal_clip_jax/training/step.py",
        "            statistics=statistics,\n            optimizer",
        "            statistics=state.statistics,\n            optimizer",
        "tests/training/test_step.py::test_running_statistics_follow_the_micro_batches",
    ),
    Fault(
        "SGD's momentum is not Nesterov's",
        "animal_clip_jax/training/optimizer.py",
        "optax.trace(beta1, nesterov=True)",
        "optax.trace(beta1)",
        "tests/training/test_optimizer.py::test_sgd_is_torch_s_with_nesterov_s_momentum",
    ),
    Fault(
        "the frozen tower of an EVL is trained",
        "animal_clip_jax/models/evl.py",
        'return path.partition(".")[0] != "visual"',
        "return True",
        "tests/training/test_optimizer.py::test_groups_of_the_baselines",
    ),
)


def is_noticed(fault: Fault) -> bool:
    """Whether the test passes without the fault's being there is not looked at: the suite does."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "runs", "*.pyc"))
        text = (copy / fault.path).read_text()
        if text.count(fault.right) != 1:
            raise SystemExit(f"{fault.path} does not hold this once: {fault.right}")
        (copy / fault.path).write_text(text.replace(fault.right, fault.wrong))
        command = [sys.executable, "-m", "pytest", "-q", "-x", fault.test]
        code = subprocess.run(command, cwd=copy, capture_output=True).returncode
    if code not in (0, 1):
        raise SystemExit(f"pytest ended with code {code}: {' '.join(command)}")
    return code == 1


def main() -> None:
    """Prints a line for each fault."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", type=int, help="number of one fault, from 1")
    only = arguments.parse_args().only
    print("fault | test | failed")
    for number, fault in enumerate(FAULTS, 1):
        if only in (None, number):
            answer = "yes" if is_noticed(fault) else "NO"
            print(f"{number}. {fault.what} | {fault.test} | {answer}", flush=True)


if __name__ == "__main__":
    main()
