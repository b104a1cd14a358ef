"""A causal language model of a Hugging Face folder or name, on this machine.

Weights are read from safetensors alone and code that comes with a model is never run.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from animal_clip_jax.classes.writing.questions import Answer, Question
from animal_clip_jax.errors import MissingFileError, UserError

if TYPE_CHECKING:
    import torch


class LocalWriter:
    """Samples answers in batches.

    Every question has a random generator of its own, seeded by the question. What it draws does not
    depend on the other questions of the batch; the probabilities it draws from do, in their last
    bits. The same batches, and so the same `batch_size`, on the same device give the same texts.
    """

    def __init__(
        self, model: str, *, temperature: float, top_p: float, max_tokens: int, batch_size: int
    ):
        """Reads the tokenizer; the weights are read when they are needed.

        Args:
            model: a folder, or a name on the Hugging Face hub.
            temperature: > 0; what the scores are divided by.
            top_p: the most probable tokens that together have this probability are drawn from.
            max_tokens: the most tokens of an answer.
            batch_size: questions answered at once.

        Raises:
            FileNotFoundError: the folder lacks the configuration, the tokenizer or the weights.
            ValueError: the model cannot be read, or needs code of its own.
        """
        if pathlib.Path(model).is_dir():
            _check_folder(pathlib.Path(model))
        elif pathlib.Path(model).is_absolute() or model.startswith("."):
            raise MissingFileError(f"there is no model folder {model}")
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self._model_name = model
        self._temperature = temperature
        self._top_p = top_p
        self._max_tokens = max_tokens
        self._batch_size = batch_size
        self._model: Any = None
        self._tokenizer = self._read(transformers.AutoTokenizer)
        config = self._read(transformers.AutoConfig)
        self._context = getattr(config.get_text_config(), "max_position_embeddings", None)
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token is None:
            if self._tokenizer.eos_token is None:
                raise UserError(
                    f"the tokenizer of {model} has neither a padding nor an end token; set "
                    "eos_token in its tokenizer_config.json"
                )
            self._tokenizer.pad_token = self._tokenizer.eos_token

    def count_tokens(self, prompt: str) -> int:
        """Tokens of a prompt in the model's chat template, where it has one."""
        return len(self._encode([prompt])["input_ids"][0])

    def ask(
        self,
        questions: Sequence[Question],
        known: Collection[str],
        record: Callable[[Question, Answer], None],
    ) -> None:
        """See `Writer.ask`. A batch that is known in part is sampled again, to the same texts.

        Raises:
            ValueError: a prompt does not fit into the model's context; or the memory is too small.
        """
        import torch

        if self._model is None:
            self._load()
        for start in range(0, len(questions), self._batch_size):
            batch = questions[start : start + self._batch_size]
            if all(question.name in known for question in batch):
                continue
            try:
                answers = self._answers(batch)
            except torch.OutOfMemoryError as error:
                raise UserError(
                    f"out of memory with {len(batch)} questions at once; give a smaller "
                    "--batch_size"
                ) from error
            for question, answer in zip(batch, answers, strict=True):
                if question.name not in known:
                    record(question, answer)

    def _answers(self, questions: Sequence[Question]) -> list[Answer]:
        import torch
        from transformers import (
            LogitsProcessorList,
            TemperatureLogitsWarper,
            TopPLogitsWarper,
        )

        encoded = self._encode([question.prompt for question in questions], return_tensors="pt")
        length = encoded["input_ids"].shape[1]
        if self._context and length + self._max_tokens > self._context:
            raise UserError(
                f"{self._model_name} has a context of {self._context} tokens; the prompt takes "
                f"{length} and the answer may take {self._max_tokens}: lower --max_tokens or "
                "--per_request, or shorten the prompt"
            )
        processors: list[Any] = [TemperatureLogitsWarper(self._temperature)]
        if self._top_p < 1:
            processors.append(TopPLogitsWarper(self._top_p))
        device = self._model.device
        generators = [torch.Generator(device).manual_seed(question.seed) for question in questions]
        with torch.inference_mode():
            output = self._model.generate(
                **encoded.to(device),
                do_sample=False,
                num_beams=1,
                max_new_tokens=self._max_tokens,
                max_length=None,
                pad_token_id=self._tokenizer.pad_token_id,
                eos_token_id=self._end_tokens,
                logits_processor=LogitsProcessorList([*processors, GumbelNoise(generators)]),
            )
        return [self._decode(row) for row in output[:, length:].tolist()]

    def _decode(self, tokens: list[int]) -> Answer:
        end = next((i for i, token in enumerate(tokens) if token in self._end_tokens), None)
        text = self._tokenizer.decode(tokens[:end], skip_special_tokens=True)
        return Answer(text, is_cut=end is None)

    def _encode(self, prompts: Sequence[str], **arguments: Any) -> Any:
        has_template = self._tokenizer.chat_template is not None
        texts = [f"{prompt}\n" for prompt in prompts]
        if has_template:
            texts = [
                self._tokenizer.apply_chat_template(
                    [{"role": "user", "content": prompt}],
                    add_generation_prompt=True,
                    tokenize=False,
                )
                for prompt in prompts
            ]
        # A template writes the special tokens itself.
        return self._tokenizer(
            texts,
            padding=True,
            add_special_tokens=not has_template,
            return_token_type_ids=False,
            **arguments,
        )

    def _load(self) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        model = self._read(AutoModelForCausalLM, use_safetensors=True, dtype="auto")
        self._model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        ends = self._model.generation_config.eos_token_id
        if ends is None:
            ends = self._tokenizer.eos_token_id
        self._end_tokens: list[int] = ends if isinstance(ends, list) else [ends]

    def _read(self, kind: Any, **arguments: Any) -> Any:
        try:
            return kind.from_pretrained(self._model_name, trust_remote_code=False, **arguments)
        except (OSError, ValueError) as error:
            # transformers explains at length; what is wrong comes first.
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"cannot read the model {self._model_name}: {reason}") from error


class GumbelNoise:
    """Turns the choice of the best token into a draw from the tokens' probabilities.

    The largest of scores plus independent Gumbel noise is a draw from their softmax. Unlike
    `generate`'s own sampling, which has one generator for all, each row has its own here.
    """

    def __init__(self, generators: Sequence[torch.Generator]):
        self._generators = generators

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (rows, tokens) with noise, on the same device."""
        import torch

        noise = torch.empty_like(scores)
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores - noise.log()


def _check_folder(folder: pathlib.Path) -> None:
    if not (folder / "config.json").is_file():
        raise MissingFileError(f"{folder} is not a model: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        other = " (weights of another form are not read)" if any(folder.glob("*.bin")) else ""
        raise MissingFileError(f"the model {folder} has no weights: no *.safetensors{other}")
    tokenizer_files = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
    if not any((folder / name).is_file() for name in tokenizer_files):
        raise MissingFileError(
            f"the model {folder} has no tokenizer: none of {', '.join(tokenizer_files)}"
        )
