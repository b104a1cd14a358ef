"""Forward pass, training step and prediction of the video model, beside X-CLIP in torch.

    python -m benchmarks.step [--batch_size=2] [--num_frames=8] [--repeats=3] [--dtype=float32]

Equal work: X-CLIP ViT-B/16 with the same shapes and clips, class texts encoded before. The training
step is a forward and a backward pass through the video side and an AdamW update; a prediction is
one clip, from bytes to probabilities. The programs take turns, each time in a process of its own,
which also measures the products with a block's parameters by themselves, forward and for both
gradients, one after another: what a step mostly consists of, and a bound for it. Figures are
medians over the turns; the peak is the process's highest resident memory (on a GPU: the device's
peak of allocated memory). Processor time is what to look at while other programs run.

Needs the extra `torch`. Without torch, ours alone is timed.
"""

import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from absl import app, flags

_PROGRAMS = {
    "torch_xclip": "X-CLIP, torch eager",
    "torch_compiled": "X-CLIP, torch.compile",
    "xclip": "X-CLIP, ours, remat=none",
    "xclip_dots": "X-CLIP, ours, remat=dots",
    "animal_clip": "Animal-CLIP, ours, remat=none",
    "animal_clip_dots": "Animal-CLIP, ours, remat=dots",
}
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 2, "clips")
_NUM_FRAMES = flags.DEFINE_integer("num_frames", 8, "frames a clip")
_NUM_LAYERS = flags.DEFINE_integer("num_layers", 12, "of the vision tower")
_REPEATS = flags.DEFINE_integer("repeats", 3, "turns of each program")
_CALLS = flags.DEFINE_integer("calls", 3, "timed calls a turn, after one that is not")
_NUM_ACTIONS = flags.DEFINE_integer("num_actions", 140, "classes")
_NUM_ANIMALS = flags.DEFINE_integer("num_animals", 897, "animals (Animal-CLIP)")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "dtype of our computation")
_PROGRAM = flags.DEFINE_enum("program", None, list(_PROGRAMS), "run this one alone, print JSON")
_PARTS = ("forward", "step", "prediction")


class _Timed(NamedTuple):
    seconds: float
    processor_s: float


class _Parts(NamedTuple):
    """What is timed, each a function that returns once it is done."""

    products: Callable[[], Any]
    forward: Callable[[], Any]
    step: Callable[[], Any]
    prediction: Callable[[], Any]
    peak_bytes: Callable[[], int | None]


def _time(function: Callable[[], Any]) -> _Timed:
    function()
    durations = []
    for _ in range(_CALLS.value):
        start = time.perf_counter(), time.process_time()
        function()
        durations.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return _Timed(*(statistics.median(column) for column in zip(*durations, strict=True)))


def _measure(parts: _Parts) -> dict[str, _Timed | float]:
    timed: dict[str, Any] = {name: _time(getattr(parts, name)) for name in ("products", *_PARTS)}
    peak_bytes = parts.peak_bytes()
    if peak_bytes is None:
        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {**timed, "peak_gib": peak_bytes / 2**30}


# Queries, keys and values; the result of attention; the two of an MLP.
_KERNELS = ((768, 2304), (768, 768), (768, 3072), (3072, 768))


def _tokens() -> int:
    return _BATCH_SIZE.value * _NUM_FRAMES.value * 197


def ours(family: str, remat: str) -> _Parts:
    """Our model of a family, "xclip" or "animal_clip", with a policy of rematerialisation."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from animal_clip_jax.models import parameters
    from animal_clip_jax.models.class_context import ClassContext
    from animal_clip_jax.parallel import mesh as mesh_lib
    from animal_clip_jax.parallel.compiler_options import compiler_options
    from animal_clip_jax.run import assembly
    from animal_clip_jax.run.attention import choose_attention
    from animal_clip_jax.run.start import as_published
    from animal_clip_jax.training import losses
    from animal_clip_jax.training import optimizer as optimizer_lib
    from animal_clip_jax.training.state import create_state
    from animal_clip_jax.training.step import StepSettings, make_train_step
    from configs import default

    config = default.get_config()
    config.model.family = family
    config.model.num_frames = _NUM_FRAMES.value
    config.model.dtype = _DTYPE.value
    config.model.remat = remat
    config = as_published(config)
    config.model.architecture.vision_layers = _NUM_LAYERS.value
    mesh = mesh_lib.make_mesh(config.mesh, jax.devices()[:1])
    graphdef, _ = assembly.abstract_model(
        config.model, choose_attention(config.model, mesh).attention
    )
    # The text side is encoded before, in both programs, so the towers' weights stay behind.
    values = assembly.random_parameters(config)
    groups = optimizer_lib.parameter_groups(values)
    optimizer = optimizer_lib.build_optimizer(
        {path: group for path, group in groups.items() if group != optimizer_lib.FROZEN},
        {optimizer_lib.BASE: 8e-6, optimizer_lib.NEW: 8e-5},
        weight_decay=0.001,
    )
    state, shardings = create_state(values, groups, optimizer, seed=0, mesh=mesh)
    del values
    augmentation = config.augmentation.copy_and_resolve_references()
    augmentation.update(dict(jitter_probability=0.0, grey_probability=0.0, mix=False))
    train_step = make_train_step(
        graphdef,
        optimizer,
        losses.cross_entropy,
        reduction="mean",
        settings=StepSettings(
            accumulation=1,
            mean=config.data.mean,
            std=config.data.std,
            animal_source="labels",
            label_dropout=0.0,
            **augmentation,
        ),
        mesh=mesh,
        state_shardings=shardings,
    )
    random = np.random.default_rng(0)
    clips, actions, animals = _BATCH_SIZE.value, _NUM_ACTIONS.value, _NUM_ANIMALS.value
    size, width = config.model.architecture.image_size, config.model.architecture.embed_dim
    batch = {
        "frames": random.integers(0, 256, (clips, _NUM_FRAMES.value, size, size, 3), np.uint8),
        "actions": np.eye(actions, dtype=np.float32)[np.arange(clips) % actions],
        "animals": np.eye(animals, dtype=np.float32)[np.arange(clips) % animals],
    }
    one_clip = {name: jnp.asarray(array[:1]) for name, array in batch.items()}
    placed = mesh_lib.put_batch(batch, mesh)
    classes = ClassContext(
        jnp.asarray(random.standard_normal((actions, width)), jnp.float32),
        jnp.asarray(random.standard_normal((animals, width)), jnp.float32),
        jnp.asarray(random.random((actions, animals)) < 0.08, jnp.float32),
    )
    options = compiler_options(mesh)

    def logits(trained, frozen, batch, classes):
        model = parameters.merge(graphdef, {**trained, **frozen})
        pixels = batch["frames"].astype(jnp.float32) / 127.5 - 1
        return model(pixels, classes, batch["animals"])

    forward = jax.jit(logits, compiler_options=options)
    probabilities = jax.jit(lambda *given: jax.nn.softmax(logits(*given)), compiler_options=options)
    multiply = jax.jit(
        jax.lax.dot_general, static_argnames="dimension_numbers", compiler_options=options
    )
    factors = [
        tuple(
            jnp.asarray(random.standard_normal(shape), config.model.dtype)
            for shape in ((_tokens(), rows), (rows, columns), (_tokens(), columns))
        )
        for rows, columns in _KERNELS
    ]

    def products():
        for inputs, kernel, gradient in factors:
            for left, right, contracted in (
                (inputs, kernel, ((1,), (0,))),
                (gradient, kernel, ((1,), (1,))),
                (inputs, gradient, ((0,), (0,))),
            ):
                product = multiply(left, right, dimension_numbers=(contracted, ((), ())))
                product.block_until_ready()

    def train():
        nonlocal state
        state, metrics = train_step(state, placed, classes)
        jax.block_until_ready((state, metrics))

    return _Parts(
        products=products,
        forward=lambda: forward(state.trained, state.frozen, placed, classes).block_until_ready(),
        step=train,
        prediction=lambda: np.asarray(
            probabilities(state.trained, state.frozen, one_clip, classes)
        ),
        peak_bytes=lambda: (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use"),
    )


def torch_xclip(*, is_compiled: bool) -> _Parts:
    """transformers' XCLIPModel: its video side, prompts and logits, texts encoded before."""
    import torch
    from transformers import XCLIPConfig, XCLIPModel

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    model = XCLIPModel(
        XCLIPConfig(
            text_config={"num_hidden_layers": 12},
            vision_config={
                "patch_size": 16,
                "num_frames": _NUM_FRAMES.value,
                "num_hidden_layers": _NUM_LAYERS.value,
                "mit_num_hidden_layers": 1,
            },
        )
    ).to(device)
    # As in ours: the text tower is frozen and its features are computed once.
    model.text_model.requires_grad_(False)
    model.text_projection.requires_grad_(False)
    model.logit_scale.requires_grad_(False)
    clips, frames, actions = _BATCH_SIZE.value, _NUM_FRAMES.value, _NUM_ACTIONS.value
    pixels = torch.randint(0, 256, (clips, frames, 3, 224, 224), dtype=torch.uint8, device=device)
    text_features = torch.randn(actions, 512, device=device)
    labels = torch.arange(clips, device=device) % actions
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=8e-6, betas=(0.9, 0.98), weight_decay=0.001)

    def logits(pixels):
        flat = pixels.reshape(-1, 3, 224, 224).float() / 127.5 - 1
        outputs = model.vision_model(pixel_values=flat)
        frame_features = model.visual_projection(outputs.pooler_output)
        frame_features = frame_features.view(len(pixels), frames, -1)
        video = model.mit(frame_features).pooler_output
        patches = model.prompts_visual_layernorm(outputs.last_hidden_state[:, 1:])
        patches = (patches @ model.prompts_visual_projection).view(
            len(pixels), frames, -1, video.shape[-1]
        )
        texts = text_features.unsqueeze(0).expand(len(pixels), -1, -1)
        texts = texts + model.prompts_generator(texts, patches.mean(1))
        video = video / video.norm(dim=-1, keepdim=True)
        texts = texts / texts.norm(dim=-1, keepdim=True)
        return model.logit_scale.exp() * torch.einsum("bd,bkd->bk", video, texts)

    if is_compiled:
        logits = torch.compile(logits)

    def synchronise():
        if device == "cuda":
            torch.cuda.synchronize()

    def forward():
        with torch.no_grad():
            logits(pixels)
        synchronise()

    def predict():
        with torch.no_grad():
            logits(pixels[:1]).softmax(-1).cpu()

    def train():
        torch.nn.functional.cross_entropy(logits(pixels), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        synchronise()

    factors = [
        [
            torch.randn(shape, device=device)
            for shape in ((_tokens(), rows), (columns, rows), (_tokens(), columns))
        ]
        for rows, columns in _KERNELS
    ]

    def products():
        for inputs, kernel, gradient in factors:
            torch.nn.functional.linear(inputs, kernel)
            gradient @ kernel
            gradient.t() @ inputs
        synchronise()

    def peak_bytes():
        return torch.cuda.max_memory_allocated() if device == "cuda" else None

    return _Parts(products, forward, train, predict, peak_bytes)


def _in_own_process(program: str, cache: str) -> dict[str, Any] | None:
    """A turn of a program; None if it cannot run, and it has said why."""
    command = [sys.executable, "-m", "benchmarks.step", f"--program={program}"]
    for flag in (_BATCH_SIZE, _NUM_FRAMES, _NUM_LAYERS, _CALLS, _NUM_ACTIONS, _NUM_ANIMALS, _DTYPE):
        command.append(f"--{flag.name}={flag.value}")
    # What is compiled in the first turn is there in the others.
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": cache,
        "TORCHINDUCTOR_CACHE_DIR": cache,
    }
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if ended.returncode:
        print(f"{_PROGRAMS[program]}: did not run, exit code {ended.returncode}")
        return None
    return json.loads(ended.stdout.splitlines()[-1])


def _median(turns: list[dict[str, Any]], part: str, field: int) -> float:
    return statistics.median(turn[part][field] for turn in turns)


def _table(turns_of: dict[str, list[dict[str, Any]]], field: int) -> list[dict[str, object]]:
    """A row a program, by the clock (field 0) or by processor time (1)."""
    operations = 6 * _tokens() * sum(rows * columns for rows, columns in _KERNELS)
    rows = []
    for program, turns in turns_of.items():
        row: dict[str, object] = {"program": _PROGRAMS[program]}
        products = _median(turns, "products", field)
        row["products_gflop"] = 1e-9 * operations / products
        row["of_step"] = _NUM_LAYERS.value * products / _median(turns, "step", field)
        for part in _PARTS:
            clips = 1 if part == "prediction" else _BATCH_SIZE.value
            row[part] = clips / _median(turns, part, field)
        base = turns_of.get("torch_xclip")
        if base:
            for part in ("products", *_PARTS):
                row[f"{part}_ratio"] = _median(base, part, field) / _median(turns, part, field)
        row["peak_gib"] = max(turn["peak_gib"] for turn in turns)
        rows.append(row)
    return rows


def main(argv: list[str]) -> None:
    """Measures all programs and prints the tables."""
    del argv
    program = _PROGRAM.value
    if program:
        if program.startswith("torch"):
            parts = torch_xclip(is_compiled=program == "torch_compiled")
        else:
            parts = ours(program.removesuffix("_dots"), "dots" if "dots" in program else "none")
        print(json.dumps(_measure(parts)))
        return

    from animal_clip_jax.tables import format_table

    names = list(_PROGRAMS)
    if not all(map(importlib.util.find_spec, ("torch", "transformers"))):
        print("torch is not installed: ours alone")
        names = [name for name in names if not name.startswith("torch")]
    turns_of: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(_REPEATS.value):
            for name in list(turns_of):
                turn = _in_own_process(name, cache)
                if turn is None:
                    del turns_of[name]
                else:
                    turns_of[name].append(turn)
    title = (
        f"ViT-B/16, {_BATCH_SIZE.value} clips of {_NUM_FRAMES.value} frames, ours in "
        f"{_DTYPE.value}; {_REPEATS.value} turns, load average {os.getloadavg()[2]:.1f}"
    )
    print(format_table(_table(turns_of, 0), title=f"{title}\nclips a second, by the clock"))
    print(format_table(_table(turns_of, 1), title="\nclips a second of processor time"))


if __name__ == "__main__":
    app.run(main)
