"""A model behind an endpoint that speaks OpenAI's chat-completions protocol.

vLLM, llama.cpp's server, Ollama and OpenAI do. OpenAI's client library sends the requests, and
repeats those that fail for the moment. The key goes into the request's header and nowhere else: no
message, log or file of this project holds it.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import math
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import openai

from animal_clip_jax.classes.writing.questions import Answer, Question, Record, Sampling
from animal_clip_jax.errors import UserError

BASE_URL_VARIABLE = "OPENAI_BASE_URL"
KEY_VARIABLE = "OPENAI_API_KEY"
DEFAULT_BASE_URL = "https://api.openai.com/v1"


class EndpointWriter:
    """Asks an endpoint, several questions at a time, again where it fails for the moment."""

    def __init__(
        self,
        model: str,
        sampling: Sampling,
        *,
        request_fields: Mapping[str, Any],
        concurrency: int,
        timeout: float,
        retries: int,
    ):
        """Reads the endpoint's address and key from the environment; asks nothing yet.

        Args:
            model: as the endpoint calls it.
            sampling: how it draws its tokens.
            request_fields: added to each request; a field that is None is left out of it.
            concurrency: the most requests at a time.
            timeout: seconds without a byte after which a request is given up.
            retries: how often a request is sent again.

        Raises:
            UserError: the address or the key cannot be used.
        """
        self._url = os.environ.get(BASE_URL_VARIABLE, "").strip() or DEFAULT_BASE_URL
        self._key = os.environ.get(KEY_VARIABLE, "").strip()
        _check_environment(self._url, self._key)
        # The library insists on a key. A server of one's own needs none, so none is sent there.
        self._headers: Any = {} if self._key else {"Authorization": openai.Omit()}
        self._model = model
        self._fields = {**dataclasses.asdict(sampling), **request_fields}
        self._concurrency = concurrency
        self._timeout = timeout
        self._retries = retries
        self._was_reached = False

    def count_tokens(self, prompt: str) -> int:
        """An estimate for English, since the model's tokenizer is not known: 4 characters each."""
        return math.ceil(len(prompt) / 4)

    def ask(self, questions: Sequence[Question], known: Collection[str], record: Record) -> None:
        """See `Writer.ask`.

        Raises:
            UserError: a request was refused, or failed as often as it may. Those that were under
                way by then are waited for and recorded; no other is sent.
        """
        is_stopped = threading.Event()

        def refuse_when_stopped(_: object) -> None:
            # Before every request, repetitions too. The library does not repeat its own errors.
            if is_stopped.is_set():
                raise openai.OpenAIError("stopped")

        def ask_one(question: Question) -> None:
            try:
                record(question, self._answer(client, question))
            except BaseException:
                if not is_stopped.is_set():
                    # Here, not where the result is looked at: by then this thread may have taken
                    # the next question.
                    is_stopped.set()
                    raise

        with (
            openai.OpenAI(
                api_key=self._key or "none",
                base_url=self._url,
                timeout=self._timeout,
                max_retries=self._retries,
                http_client=openai.DefaultHttpxClient(
                    follow_redirects=False, event_hooks={"request": [refuse_when_stopped]}
                ),
            ) as client,
            concurrent.futures.ThreadPoolExecutor(self._concurrency) as pool,
        ):
            self._check_reachable(client)
            unanswered = [question for question in questions if question.name not in known]
            futures = [pool.submit(ask_one, question) for question in unanswered]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
            finally:
                is_stopped.set()
                pool.shutdown(cancel_futures=True)

    def _check_reachable(self, client: openai.OpenAI) -> None:
        """Asks once for the list of models; any reply will do.

        One that answered before may be starting again, and is asked again; one that never did is
        elsewhere.
        """
        if self._was_reached:
            return
        try:
            with contextlib.suppress(openai.APIStatusError, json.JSONDecodeError):
                client.with_options(max_retries=0).get(
                    "/models", cast_to=object, options={"headers": self._headers}
                )
        except openai.APIConnectionError as error:
            raise UserError(
                f"cannot reach {self._url} ({self._reason(error)}); is the server running, and is "
                f"{BASE_URL_VARIABLE} right?"
            ) from error
        self._was_reached = True

    def _answer(self, client: openai.OpenAI, question: Question) -> Answer:
        fields = {"seed": question.seed, **self._fields}
        failure = f"no answer about {question.name!r} from {self._url}"
        # The library repeats what fails, but takes half an answer for one.
        for _ in range(self._retries + 1):
            try:
                completion = client.chat.completions.create(
                    model=self._model,
                    messages=[{"role": "user", "content": question.prompt}],
                    extra_body={name: value for name, value in fields.items() if value is not None},
                    extra_headers=self._headers,
                )
            except json.JSONDecodeError:
                continue
            except (openai.APIConnectionError, openai.APIStatusError) as error:
                raise UserError(f"{failure}: {self._reason(error)}") from error
            answer = parse_completion(completion)
            if answer is not None:
                return answer
        raise UserError(f"{failure}: what came is not a chat completion")

    def _reason(self, error: openai.APIError) -> str:
        """What happened and what to do, in one line."""
        if not isinstance(error, openai.APIStatusError):
            return self._without_key(str(error.__cause__ or error))
        status = error.status_code
        reason = f"status {status}"
        if wait := error.response.headers.get("Retry-After"):
            reason += f", Retry-After {wait}"
        # Some endpoints repeat a part of a key that they refuse.
        if status not in (401, 403):
            said = error.body.get("message") if isinstance(error.body, dict) else error.body
            text = " ".join(str(said or error.response.text).split())[:300]
            reason += f": {self._without_key(text)}" if text else ""
        return f"{reason}; {_hint(status)}"

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _hint(status: int) -> str:
    """What to do about an HTTP status."""
    if status in (401, 403):
        return f"is the key in {KEY_VARIABLE} right?"
    if status == 404:
        return f"is --model right, and does {BASE_URL_VARIABLE} have its last part, such as /v1?"
    if status in (408, 409, 429) or status >= 500:
        return "the same command asks again, with more --retries more often"
    return "--request_fields can change what is sent"


def _check_environment(url: str, key: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise UserError(
            f"{BASE_URL_VARIABLE} must begin with http:// or https://, as "
            "http://localhost:8000/v1 does"
        )
    if "@" in url.split("/")[2]:
        raise UserError(
            f"{BASE_URL_VARIABLE} holds a user name or password; put a key in {KEY_VARIABLE}"
        )
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"{KEY_VARIABLE} holds characters that no key has")
    if url == DEFAULT_BASE_URL and not key:
        raise UserError(
            f"no {KEY_VARIABLE} in the environment; for another endpoint than "
            f"{DEFAULT_BASE_URL}, set {BASE_URL_VARIABLE}"
        )


def parse_completion(completion: Any) -> Answer | None:
    """The answer in a chat completion; None where it holds none, which the library lets pass."""
    try:
        choice = completion.choices[0]
        text = choice.message.content or choice.message.refusal or ""
        is_cut = choice.finish_reason == "length"
    except (AttributeError, IndexError, TypeError):
        return None
    return Answer(text, is_cut) if isinstance(text, str) else None
