"""Forward pass and training step of the video model, beside transformers' X-CLIP in torch.

    python -m benchmarks.step [--batch_size=2] [--num_frames=8] [--repeats=5] [--dtype=float32]

Equal work: X-CLIP ViT-B/16 with the same shapes and clips, class texts encoded before; the training
step is a forward and a backward pass through the video side and an AdamW update. Each program runs
in a process of its own, in turn, and reports the median of its repeats. The peak is the process's
highest resident memory (on a GPU: the device's peak of allocated memory).

Needs the extra `torch`. Without torch, ours alone is timed.
"""

import json
import resource
import statistics
import subprocess
import sys
import time

from absl import app, flags

_BATCH_SIZE = flags.DEFINE_integer("batch_size", 2, "clips")
_NUM_FRAMES = flags.DEFINE_integer("num_frames", 8, "frames a clip")
_REPEATS = flags.DEFINE_integer("repeats", 5, "timed repeats, after one that is not")
_NUM_ACTIONS = flags.DEFINE_integer("num_actions", 140, "classes")
_NUM_ANIMALS = flags.DEFINE_integer("num_animals", 897, "animals (Animal-CLIP)")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "dtype of our computation")
_PROGRAM = flags.DEFINE_enum(
    "program", None, ["torch_xclip", "xclip", "animal_clip"], "run this one alone, print JSON"
)


def _median_seconds(function) -> float:
    function()
    durations = []
    for _ in range(_REPEATS.value):
        start = time.perf_counter()
        function()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def _result(forward: float, step: float, peak_bytes: int | None = None) -> dict[str, float]:
    if peak_bytes is None:
        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "forward_clips_per_second": _BATCH_SIZE.value / forward,
        "step_clips_per_second": _BATCH_SIZE.value / step,
        "peak_gib": peak_bytes / 2**30,
    }


def measure_ours(family: str) -> dict[str, float]:
    """Times our model of a family, "xclip" or "animal_clip"."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax import nnx

    from animal_clip_jax.models import parameters
    from animal_clip_jax.models.class_context import ClassContext
    from animal_clip_jax.parallel import mesh as mesh_lib
    from animal_clip_jax.run import assembly
    from animal_clip_jax.run.start import as_published
    from animal_clip_jax.training import losses
    from animal_clip_jax.training import optimizer as optimizer_lib
    from animal_clip_jax.training.step import StepSettings, create_state, make_train_step
    from configs import default

    config = default.get_config()
    config.model.family = family
    config.model.num_frames = _NUM_FRAMES.value
    config.model.dtype = _DTYPE.value
    config = as_published(config)
    mesh = mesh_lib.make_mesh(config.mesh, jax.devices()[:1])
    graphdef, abstract = parameters.abstract(
        lambda: assembly.build_model(config.model, rngs=nnx.Rngs(0))
    )
    # The text side is encoded before, in both programs, so the towers' weights stay behind.
    values = jax.jit(
        lambda: parameters.split(assembly.build_model(config.model, rngs=nnx.Rngs(0)))[1]
    )()
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
    step = make_train_step(
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
    batch = mesh_lib.put_batch(batch, mesh)
    classes = ClassContext(
        jnp.asarray(random.standard_normal((actions, width)), jnp.float32),
        jnp.asarray(random.standard_normal((animals, width)), jnp.float32),
        jnp.asarray(random.random((actions, animals)) < 0.08, jnp.float32),
    )

    @jax.jit
    def forward(trained, frozen, batch, classes):
        model = parameters.merge(graphdef, {**trained, **frozen})
        pixels = batch["frames"].astype(jnp.float32) / 127.5 - 1
        return model(pixels, classes, batch["animals"])

    forward_seconds = _median_seconds(
        lambda: forward(state.trained, state.frozen, batch, classes).block_until_ready()
    )

    def train():
        nonlocal state
        state, metrics = step(state, batch, classes)
        metrics["loss"].block_until_ready()
        jax.block_until_ready(state)

    step_seconds = _median_seconds(train)
    stats = jax.devices()[0].memory_stats()
    return _result(forward_seconds, step_seconds, (stats or {}).get("peak_bytes_in_use"))


def measure_torch_xclip() -> dict[str, float]:
    """Times transformers' XCLIPModel: its video side, prompts and logits, texts encoded before."""
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

    def logits():
        flat = pixels.reshape(-1, 3, 224, 224).float() / 127.5 - 1
        outputs = model.vision_model(pixel_values=flat)
        frame_features = model.visual_projection(outputs.pooler_output).view(clips, frames, -1)
        video = model.mit(frame_features).pooler_output
        patches = model.prompts_visual_layernorm(outputs.last_hidden_state[:, 1:])
        patches = (patches @ model.prompts_visual_projection).view(
            clips, frames, -1, video.shape[-1]
        )
        texts = text_features.unsqueeze(0).expand(clips, -1, -1)
        texts = texts + model.prompts_generator(texts, patches.mean(1))
        video = video / video.norm(dim=-1, keepdim=True)
        texts = texts / texts.norm(dim=-1, keepdim=True)
        return model.logit_scale.exp() * torch.einsum("bd,bkd->bk", video, texts)

    def synchronise():
        if device == "cuda":
            torch.cuda.synchronize()

    def forward():
        with torch.no_grad():
            logits()
        synchronise()

    def train():
        torch.nn.functional.cross_entropy(logits(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        synchronise()

    forward_seconds, step_seconds = _median_seconds(forward), _median_seconds(train)
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else None
    return _result(forward_seconds, step_seconds, peak)


def _measure_in_own_process(program: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.step", f"--program={program}"]
    for flag in (_BATCH_SIZE, _NUM_FRAMES, _REPEATS, _NUM_ACTIONS, _NUM_ANIMALS, _DTYPE):
        command.append(f"--{flag.name}={flag.value}")
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main(argv: list[str]) -> None:
    """Measures all programs and prints one table."""
    del argv
    if _PROGRAM.value == "torch_xclip":
        print(json.dumps(measure_torch_xclip()))
        return
    if _PROGRAM.value:
        print(json.dumps(measure_ours(_PROGRAM.value)))
        return

    from animal_clip_jax.tables import format_table

    names = {"xclip": "X-CLIP, ours", "animal_clip": "Animal-CLIP, ours"}
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401

        names = {"torch_xclip": "X-CLIP, transformers in torch", **names}
    except ImportError:
        print("torch is not installed: ours alone")
    results = {program: _measure_in_own_process(program) for program in names}
    rows = []
    for program, figures in results.items():
        row: dict[str, object] = {"program": names[program], **figures}
        if "torch_xclip" in results:
            base = results["torch_xclip"]
            row["forward_ratio"] = (
                figures["forward_clips_per_second"] / base["forward_clips_per_second"]
            )
            row["step_ratio"] = figures["step_clips_per_second"] / base["step_clips_per_second"]
        rows.append(row)
    title = (
        f"ViT-B/16, {_BATCH_SIZE.value} clips of {_NUM_FRAMES.value} frames, ours in {_DTYPE.value}"
    )
    print(format_table(rows, title=title))


if __name__ == "__main__":
    app.run(main)
