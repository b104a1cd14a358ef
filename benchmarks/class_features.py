"""How long the class features of a run take, and how long to read them again.

    python -m benchmarks.class_features [--num_texts=384] [--repeats=5] [--all]

With ViT-B/16's text tower (random weights, float32) and generated descriptions (see `description`),
in one process and in turn:

- every text as 77 tokens, in the order in which they come, 256 at once (the peer: what this project
  did before), and 32 at once;
- ours: every text up to its end token, 32 of similar length at once.

All encode from tokens, after every program has been compiled; the ratio of the medians is the
result, by the clock and by the time of the processor, which other work on the machine touches less.
Compilation is timed too: it happens once, whatever the number of texts.

Then a second start with as many texts as Animal Kingdom has with 50 descriptions a class (7 000 of
actions, 44 850 of animals): everything between the tower and the pooled features, which are read
from the cache. `--all` also encodes these texts, which takes an accelerator.

`--devices=1,4,8` runs nothing: it compiles the programs for so many devices, and prints the
operations that each of them has for all the texts.
"""

import pathlib
import statistics
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from flax import nnx

from animal_clip_jax.classes.features import encode_classes
from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ARCHITECTURES
from animal_clip_jax.models.text import TextTower
from animal_clip_jax.parallel.collectives import collective_traffic
from animal_clip_jax.parallel.mesh import AXES, make_mesh
from animal_clip_jax.tables import format_table
from animal_clip_jax.text.encoding import (
    TEXTS_A_DEVICE,
    TextFeatures,
    compiled_for,
    encode_texts,
    encode_tokens,
    plan_batches,
)
from animal_clip_jax.text.feature_cache import FeatureCache
from animal_clip_jax.text.tokenizer import tokenize

_NUM_TEXTS = flags.DEFINE_integer("num_texts", 384, "texts to encode both ways")
_REPEATS = flags.DEFINE_integer("repeats", 5, "timed repeats, after one that is not")
_ALL = flags.DEFINE_boolean("all", False, "also encode as many texts as Animal Kingdom has")

_DEVICES = flags.DEFINE_list("devices", [], "compile for so many devices, and run nothing")

# 140 actions and 897 animals, with 50 descriptions each.
DESCRIPTIONS = 50
CLASSES = {"actions": 140, "animals": 897}

_SUBJECTS = (
    "the animal", "the crane", "the snake", "a young fox", "the whole herd", "the lizard",
    "an adult male", "the mother", "the hunting leopard", "a small tree frog",
)  # fmt: skip
_VERBS = (
    "walks", "moves forward", "lowers its head", "stretches its neck", "pushes off the ground",
    "beats its wings", "turns around", "stays very still", "opens its mouth", "digs with its claws",
)  # fmt: skip
_MANNERS = (
    "slowly", "with quick short steps", "in a steady rhythm", "one leg after the other",
    "without a sound", "again and again", "with its tail raised", "close to the surface",
    "while it looks around", "as if it were listening",
)  # fmt: skip
_PLACES = (
    "through the tall dry grass", "along the muddy bank of the river", "under the shade of a tree",
    "on a branch high above the ground", "between the stones", "across the open savanna",
    "in shallow water", "over the sand of the dune", "near the entrance of its burrow",
    "in front of the other members of the group",
)  # fmt: skip


def description(random: np.random.Generator) -> str:
    """Two or three whole sentences, 20 to 45 words: each has a subject, a verb, a manner and a
    place in ordinary words, drawn evenly. What is shorter or longer is drawn again."""
    while True:
        sentences = []
        for _ in range(random.integers(2, 4)):
            subject, verb, manner, place = (
                str(random.choice(parts)) for parts in (_SUBJECTS, _VERBS, _MANNERS, _PLACES)
            )
            sentences.append(f"{subject.capitalize()} {verb} {manner}, {place}.")
        text = " ".join(sentences)
        if 20 <= len(text.split()) <= 45:
            return text


def encode_in_full(values, tokens: np.ndarray, encode, size: int) -> np.ndarray:
    """Every row as it is, in batches of `size`, dispatched as ours are."""
    padded = np.pad(tokens, ((0, -len(tokens) % size), (0, 0)), mode="edge")
    results = [
        encode(values, padded[start : start + size]) for start in range(0, len(padded), size)
    ]
    return np.concatenate([np.asarray(result) for result in results])[: len(tokens)]


def main(_) -> None:
    if _DEVICES.value:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", max(map(int, _DEVICES.value)))
    random = np.random.default_rng(0)
    texts = [description(random) for _ in range(_NUM_TEXTS.value)]
    tokens = tokenize(texts)
    lengths = np.argmax(tokens, axis=1) + 1
    words = [len(text.split()) for text in texts]
    tower = TextTower(ARCHITECTURES["ViT-B/16"], dtype=jnp.float32, rngs=nnx.Rngs(0))
    if _DEVICES.value:
        print(format_table([_operations(tower, lengths, int(n)) for n in _DEVICES.value]))
        return
    device = jax.devices()[0]
    print(
        f"{device.platform} {device.device_kind}; {len(texts)} texts of {min(words)} to "
        f"{max(words)} words (mean {np.mean(words):.1f}), {lengths.min()} to {lengths.max()} "
        f"tokens (mean {lengths.mean():.1f})"
    )
    graphdef, values = parameters.split(tower)
    encode = jax.jit(lambda values, tokens: parameters.merge(graphdef, values)(tokens))
    peer = "77 tokens, 256 at once"
    programs = {
        peer: lambda: encode_in_full(values, tokens, encode, 256),
        "77 tokens, 32 at once": lambda: encode_in_full(values, tokens, encode, 32),
        "ours": lambda: encode_tokens(tower, tokens),
    }
    results, first = {}, {}
    durations: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for name, program in programs.items():
        start = time.perf_counter()
        results[name] = program()
        first[name] = time.perf_counter() - start
    for _ in range(_REPEATS.value):
        for name, program in programs.items():
            clock, processor = time.perf_counter(), time.process_time()
            program()
            durations[name].append((time.perf_counter() - clock, time.process_time() - processor))
    seconds = {name: np.median(of_program, axis=0) for name, of_program in durations.items()}
    rows = [
        {
            "program": name,
            "seconds": float(seconds[name][0]),
            "processor_s": float(seconds[name][1]),
            "times_as_fast": float(seconds[peer][0] / seconds[name][0]),
            "by_processor": float(seconds[peer][1] / seconds[name][1]),
            "compilation_s": first[name] - float(seconds[name][0]),
            "relative_difference": f"{_relative_difference(results[name], results[peer]):.1e}",
        }
        for name in programs
    ]
    print(format_table(rows))
    _second_start(tower, random)


def _operations(tower: TextTower, lengths: np.ndarray, devices: int) -> dict[str, float]:
    """What one of several devices has to do for texts of these lengths."""
    mesh = make_mesh({"data": devices, "fsdp": 1, "model": 1}, jax.devices()[:devices])
    batch_size = min(TEXTS_A_DEVICE, -(-len(lengths) // devices)) * devices
    batches = plan_batches(lengths, batch_size, 77)
    flops, exchanged = {}, 0
    for length in {batch.length for batch in batches}:
        compiled = compiled_for(tower, mesh, texts=batch_size, length=length)
        cost, text = compiled.cost_analysis(), compiled.as_text()
        assert cost is not None and text is not None
        flops[length] = cost["flops"]
        traffic = collective_traffic(text).values()
        exchanged = max(exchanged, sum(kind.result_bytes for kind in traffic))
    return {
        "devices": devices,
        "batches": len(batches),
        "gflop_a_device": sum(flops[batch.length] for batch in batches) / 1e9,
        "kb_exchanged_a_batch": exchanged / 1e3,
    }


def _relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def _second_start(tower: TextTower, random: np.random.Generator) -> None:
    texts = {
        what: [[description(random) for _ in range(DESCRIPTIONS)] for _ in range(count)]
        for what, count in CLASSES.items()
    }
    count = sum(len(row) for of_kind in texts.values() for row in of_kind)
    mesh = make_mesh(dict.fromkeys(AXES, 1), jax.devices()[:1])
    with tempfile.TemporaryDirectory() as folder:
        filled = FeatureCache.open(pathlib.Path(folder), tower, mesh)
        for of_kind in texts.values():
            flat = [text for row in of_kind for text in row]
            if _ALL.value:
                start = time.perf_counter()
                result = encode_texts(tower, flat, mesh=mesh)
                print(
                    f"{len(flat)} texts tokenised and encoded: {time.perf_counter() - start:.2f} s"
                )
            else:
                features = random.standard_normal((len(flat), 512)).astype(np.float32)
                result = TextFeatures(features, num_cut=0)
            filled.write(flat, result)
        durations = []
        for _ in range(_REPEATS.value + 1):
            start = time.perf_counter()
            cache = FeatureCache.open(pathlib.Path(folder), tower, mesh)
            for of_kind in texts.values():
                encode_classes(tower, of_kind, mesh=mesh, cache=cache)
            durations.append(time.perf_counter() - start)
    print(
        f"second start, {count} texts: {durations[0]:.2f} s, then median "
        f"{statistics.median(durations[1:]):.2f} s"
    )


if __name__ == "__main__":
    app.run(main)
