"""A causal language model of a Hugging Face folder or name, on this machine.

Weights are read from safetensors alone and code that comes with a model is never run.
"""

import functools
import math
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

import torch
import transformers

from animal_clip_jax.classes.writing.questions import Answer, Question, Record, Sampling
from animal_clip_jax.errors import MissingFileError, UserError

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")


class LocalWriter:
    """Samples answers in batches.

    Every batch is seeded by its first question. So the same batches, that is the same `batch_size`,
    give the same texts on the same device.
    """

    def __init__(self, model: str, sampling: Sampling, *, batch_size: int):
        """Reads the tokenizer; the weights are read when they are needed.

        Args:
            model: a folder, or a name on the Hugging Face hub.
            sampling: how it draws its tokens.
            batch_size: questions answered at once.

        Raises:
            MissingFileError: there is no such folder, or no tokenizer in it.
            UserError: the model cannot be read.
        """
        folder = pathlib.Path(model)
        if not folder.is_dir() and (folder.is_absolute() or model.startswith(".")):
            raise MissingFileError(f"there is no model folder {model}", folder)
        # For transformers, a folder without any is one with an empty tokenizer.
        if folder.is_dir() and not any((folder / name).is_file() for name in _TOKENIZER_FILES):
            raise MissingFileError(
                f"the model {folder} has no tokenizer: none of {', '.join(_TOKENIZER_FILES)}"
            )
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self._model_name = model
        self._sampling = sampling
        self._batch_size = batch_size
        self._tokenizer = self._read(transformers.AutoTokenizer, padding_side="left")
        if self._tokenizer.pad_token is None:
            if self._tokenizer.eos_token is None:
                raise UserError(
                    f"the tokenizer of {model} has neither a padding nor an end token; set "
                    "eos_token in its tokenizer_config.json"
                )
            self._tokenizer.pad_token = self._tokenizer.eos_token

    def count_tokens(self, prompt: str) -> int:
        """Tokens of a prompt in the model's chat template, where it has one."""
        return self._encode([prompt])["input_ids"].shape[1]

    def ask(self, questions: Sequence[Question], known: Collection[str], record: Record) -> None:
        """See `Writer.ask`. A batch that is known in part is sampled again, to the same texts.

        Raises:
            UserError: the model cannot be read, a prompt does not fit into its context, or the
                memory is too small.
        """
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

    @functools.cached_property
    def _model(self) -> Any:
        model = self._read(transformers.AutoModelForCausalLM, use_safetensors=True, dtype="auto")
        return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def _answers(self, questions: Sequence[Question]) -> list[Answer]:
        prompts = self._encode([question.prompt for question in questions])
        length, max_tokens = prompts["input_ids"].shape[1], self._sampling.max_tokens
        config = self._model.config.get_text_config()
        context = getattr(config, "max_position_embeddings", math.inf)
        if length + max_tokens > context:
            raise UserError(
                f"{self._model_name} has a context of {context} tokens; the prompt takes "
                f"{length} and the answer may take {max_tokens}: lower --max_tokens or "
                "--per_request, or shorten the prompt"
            )
        ends = self._model.generation_config.eos_token_id
        if ends is None:
            ends = self._tokenizer.eos_token_id
        torch.manual_seed(questions[0].seed)
        output = self._model.generate(
            **prompts.to(self._model.device),
            do_sample=True,
            temperature=self._sampling.temperature,
            top_p=self._sampling.top_p,
            top_k=0,  # as many as top_p leaves
            max_new_tokens=max_tokens,
            max_length=None,
            pad_token_id=self._tokenizer.pad_token_id,
            eos_token_id=ends,
        )[:, length:]
        texts = self._tokenizer.batch_decode(output, skip_special_tokens=True)
        has_end = torch.isin(output, torch.tensor(ends, device=output.device)).any(1).tolist()
        return [Answer(text, is_cut=not ended) for text, ended in zip(texts, has_end, strict=True)]

    def _encode(self, prompts: Sequence[str]) -> Any:
        """Token ids and attention mask, (prompts, tokens), padded on the left."""
        has_template = self._tokenizer.chat_template is not None
        texts = [f"{prompt}\n" for prompt in prompts]
        if has_template:
            texts = self._tokenizer.apply_chat_template(
                [[{"role": "user", "content": prompt}] for prompt in prompts],
                add_generation_prompt=True,
                tokenize=False,
            )
        return self._tokenizer(
            texts,
            padding=True,
            add_special_tokens=not has_template,  # a template writes them itself
            return_token_type_ids=False,
            return_tensors="pt",
        )

    def _read(self, kind: Any, **arguments: Any) -> Any:
        try:
            return kind.from_pretrained(self._model_name, trust_remote_code=False, **arguments)
        except (OSError, ValueError) as error:
            # transformers explains at length; what is wrong comes first.
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"cannot read the model {self._model_name}: {reason}") from error
