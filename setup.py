"""Installation: `pip install .`, and extras for what not everybody needs."""

import pathlib

from setuptools import find_packages, setup

# Prediction, export and the conversion of our own weights.
BASE = [
    "absl-py>=2.5",
    "av>=18.1",
    "etils>=1.15",
    "flatbuffers>=25.12",  # jax.export writes and reads exported models with it
    "flax>=0.12.8",
    "jax>=0.10.2",
    "jinja2>=3.1",
    "ml_collections>=1.1.0",
    "ml_dtypes>=0.6",
    "numpy>=2.4",
    "optax>=0.2.8",
    "orbax-checkpoint>=0.12.8",
    "pillow>=13.0",
    "rich>=15.0",
    "tokenizers>=0.23",
    "xxhash>=4.1",
]
EXTRAS = {
    # Conversion of videos, training, and evaluation on what was converted.
    "data": [
        "matplotlib>=3.11",
        "openpyxl>=3.1",
        "tensorflow>=2.21.0",
        "tensorflow-datasets>=4.9.10",
    ],
    # Having a language model behind an endpoint describe the labels.
    "descriptions": ["openai>=3.22"],
    # Conversion of torch checkpoints, and a language model on this machine.
    "torch": [
        "huggingface_hub>=2.4",
        "safetensors>=0.8",
        "torch>=2.13.0",
        "transformers>=5.23",
    ],
    # Prediction and conversion on many machines at once.
    "cluster": ["ray>=2.60.0"],
    # Reports as pages.
    "report": ["matplotlib>=3.11"],
    "tensorboard": ["tensorboardX>=2.6.5", "tensorboard>=2.21"],
}
DEVICES = {"cuda": ["jax[cuda12]>=0.10.2"], "tpu": ["jax[tpu]>=0.10.2"]}
DEVELOPMENT = {
    "docs": ["mkdocs-material>=9.8", "mkdocstrings[python]>=1.0"],
    "test": [
        "frictionless>=5.21",
        "hypothesis>=6.170",
        "import-linter>=2.17",
        "instant-clip-tokenizer>=0.1.1",
        "ipykernel>=7.4",
        "jsonschema>=4.26",
        "mypy>=2.4",
        "nbclient>=0.11",
        "nbformat>=5.11",
        "pre-commit>=4.7",
        "pytest>=9.2",
        "pytest-xdist>=3.8",
        "ruff>=0.17",
        "scikit-learn>=1.9",
        "webvtt-py>=0.6",
    ],
}

setup(
    name="animal-clip-jax",
    version=pathlib.Path(__file__)
    .with_name("animal_clip_jax")
    .joinpath("version.py")
    .read_text(encoding="utf-8")
    .split('"')[-2],
    description="Animal-CLIP in JAX: animal action recognition from video and language",
    long_description=pathlib.Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(
        include=["animal_clip_jax", "animal_clip_jax.*", "data_pipeline", "data_pipeline.*"]
    ),
    package_data={
        "animal_clip_jax": ["py.typed"],
        "animal_clip_jax.inference": ["templates/*"],
        "animal_clip_jax.inference.report": ["templates/*"],
        "animal_clip_jax.pages": ["templates/*"],
        "animal_clip_jax.run.evaluation_report": ["templates/*"],
        "animal_clip_jax.text": ["data/*"],
        "animal_clip_jax.classes.writing": ["data/*"],
        "data_pipeline": ["py.typed"],
        "data_pipeline.inspection": ["templates/*"],
    },
    entry_points={"console_scripts": ["animal-clip = animal_clip_jax.__main__:main"]},
    install_requires=BASE,
    extras_require={
        **EXTRAS,
        **DEVICES,
        **DEVELOPMENT,
        "all": [requirement for extra in EXTRAS.values() for requirement in extra],
    },
)
