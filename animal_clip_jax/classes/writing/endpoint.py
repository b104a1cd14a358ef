"""A model behind an endpoint that speaks OpenAI's chat-completions protocol.

vLLM, llama.cpp's server, Ollama and OpenAI do. The key goes into the request's header and nowhere
else: no message, log or file of this project holds it.
"""

from __future__ import annotations

import concurrent.futures
import datetime
import email.utils
import math
import os
import random
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from animal_clip_jax.classes.writing.questions import Answer, Question
from animal_clip_jax.errors import UserError

if TYPE_CHECKING:
    import httpx2

BASE_URL_VARIABLE = "OPENAI_BASE_URL"
KEY_VARIABLE = "OPENAI_API_KEY"
DEFAULT_BASE_URL = "https://api.openai.com/v1"

_LONGEST_BACKOFF = 60.0  # seconds
_LONGEST_RETRY_AFTER = 600.0  # seconds; an endpoint that asks for more is given up
_PASSING_STATUS = frozenset({408, 409, 425, 429})  # and every 5xx


class EndpointError(ValueError):
    """An endpoint that gives no answer, and what to do about it."""


class EndpointWriter:
    """Asks an endpoint, several questions at a time, again where it fails for the moment."""

    def __init__(
        self,
        model: str,
        *,
        temperature: float,
        top_p: float,
        max_tokens: int,
        request_fields: Mapping[str, Any],
        concurrency: int,
        timeout: float,
        retries: int,
        backoff: float,
        environment: Mapping[str, str] = os.environ,
    ):
        """Reads the endpoint's address and key from the environment; asks nothing yet.

        Args:
            model: as the endpoint calls it.
            temperature, top_p, max_tokens: of the sampling.
            request_fields: added to each request; a field that is None is left out of it.
            concurrency: the most requests at a time.
            timeout: seconds without a byte after which a request is given up.
            retries: how often a request is sent again.
            backoff: seconds before the first repetition; doubled for each further one.
            environment: where OPENAI_BASE_URL and OPENAI_API_KEY are looked up.

        Raises:
            EndpointError: the address or the key cannot be used.
        """
        self._url = environment.get(BASE_URL_VARIABLE, "").strip() or DEFAULT_BASE_URL
        self._key = environment.get(KEY_VARIABLE, "").strip()
        if not self._url.startswith(("http://", "https://")):
            raise EndpointError(
                f"{BASE_URL_VARIABLE} must begin with http:// or https://, as "
                f"http://localhost:8000/v1 does"
            )
        if "@" in self._url.split("/")[2]:
            raise EndpointError(
                f"{BASE_URL_VARIABLE} holds a user name or password; put a key in {KEY_VARIABLE}"
            )
        if not (self._key.isascii() and self._key.isprintable()):
            raise EndpointError(f"{KEY_VARIABLE} holds characters that no key has")
        if self._url == DEFAULT_BASE_URL and not self._key:
            raise EndpointError(
                f"no {KEY_VARIABLE} in the environment; for another endpoint than "
                f"{DEFAULT_BASE_URL}, set {BASE_URL_VARIABLE}"
            )
        self._fields: dict[str, Any] = {
            "model": model,
            "temperature": temperature,
            "top_p": top_p,
            "max_tokens": max_tokens,
        }
        self._request_fields = dict(request_fields)
        self._concurrency = concurrency
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff
        self._was_reached = False
        self._is_stopped = threading.Event()

    def count_tokens(self, prompt: str) -> int:
        """An estimate for English, since the model's tokenizer is not known: 4 characters each."""
        return math.ceil(len(prompt) / 4)

    def ask(
        self,
        questions: Sequence[Question],
        known: Collection[str],
        record: Callable[[Question, Answer], None],
    ) -> None:
        """See `Writer.ask`.

        Raises:
            EndpointError: a request was refused, or failed as often as it may. Those that were
                under way by then are waited for and recorded; no other is sent.
        """
        import httpx2

        def ask_one(question: Question) -> None:
            try:
                answer = self._answer(client, question)
                if answer is not None:
                    record(question, answer)
            except BaseException:
                # Here, not where the result is looked at: by then this thread may have taken the
                # next question.
                self._is_stopped.set()
                raise

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx2.Limits(max_connections=self._concurrency)
        with (
            httpx2.Client(headers=headers, timeout=self._timeout, limits=limits) as client,
            concurrent.futures.ThreadPoolExecutor(self._concurrency) as pool,
        ):
            futures = [
                pool.submit(ask_one, question)
                for question in questions
                if question.name not in known
            ]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
            finally:
                self._is_stopped.set()
                pool.shutdown(cancel_futures=True)
                self._is_stopped.clear()

    def _answer(self, client: httpx2.Client, question: Question) -> Answer | None:
        """The answer to one question; None if the others were stopped meanwhile."""
        fields = {
            **self._fields,
            "seed": question.seed,
            "messages": [{"role": "user", "content": question.prompt}],
            **self._request_fields,
        }
        body = {name: value for name, value in fields.items() if value is not None}
        for attempt in range(self._retries + 1):
            if self._is_stopped.is_set():
                return None
            answer, failure, delay = self._try(client, body)
            if answer is not None:
                return answer
            if attempt == self._retries:
                raise EndpointError(
                    f"no answer about {question.name!r} from {self._url} after {attempt + 1} "
                    f"request(s); the last one: {failure}"
                )
            if delay is None:
                delay = min(self._backoff * 2**attempt, _LONGEST_BACKOFF)
                # Else requests that failed together would come back together.
                delay *= random.uniform(0.5, 1)
            if delay > _LONGEST_RETRY_AFTER:
                raise EndpointError(
                    f"{self._url} asks to come back in {delay:.0f} seconds ({failure}); start the "
                    "same command again then"
                )
            self._is_stopped.wait(delay)
        raise AssertionError("unreachable")

    def _try(
        self, client: httpx2.Client, body: Mapping[str, Any]
    ) -> tuple[Answer | None, str, float | None]:
        """Sends a request: (answer, what failed for the moment, seconds to wait if it said so).

        Raises:
            EndpointError: there is no point in sending it again.
        """
        import httpx2

        try:
            response = client.post(self._url.rstrip("/") + "/chat/completions", json=body)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            # One that answered before may be starting again; one that never did is elsewhere.
            if not self._was_reached:
                raise EndpointError(
                    f"cannot reach {self._url} ({self._without_key(str(error))}); is the server "
                    f"running, and is {BASE_URL_VARIABLE} right?"
                ) from error
            return None, f"cannot connect ({self._without_key(str(error))})", None
        except httpx2.TimeoutException:
            return None, f"nothing came for {self._timeout:g} seconds (--timeout)", None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            return None, self._without_key(str(error) or type(error).__name__), None
        except httpx2.InvalidURL as error:
            raise EndpointError(f"{BASE_URL_VARIABLE} is not an address: {error}") from error
        self._was_reached = True
        status = response.status_code
        if status in _PASSING_STATUS or status >= 500:
            failure = f"status {status}{self._message(response)}"
            return None, failure, retry_after(response.headers.get("retry-after"))
        if not response.is_success:
            raise EndpointError(self._refusal(response, str(body.get("model"))))
        try:
            return parse_completion(response.json()), "", None
        except ValueError as error:
            return None, f"status {status}, but {error}", None

    def _refusal(self, response: httpx2.Response, model: str) -> str:
        status = response.status_code
        if status in (401, 403):
            # Not what the endpoint says: some repeat the key, or a part of it.
            what = "refuses the key in" if self._key else "wants a key, but there is none in"
            return f"{self._url} {what} the environment variable {KEY_VARIABLE} (status {status})"
        message = self._message(response)
        if status == 404:
            return (
                f"{self._url} knows no model {model!r}, or {BASE_URL_VARIABLE} lacks a part such "
                f"as /v1 (status 404{message})"
            )
        return (
            f"{self._url} refuses the request (status {status}{message}); --request_fields can "
            "change what is sent"
        )

    def _message(self, response: httpx2.Response) -> str:
        """What the endpoint says about an error, in one line, to follow its status."""
        try:
            text = _said(response.json())
        except ValueError:
            text = response.text
        text = " ".join(text.split())[:300]
        return f": {self._without_key(text)}" if text else ""

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _said(content: object) -> str:
    """What is said in the JSON body of an error; servers differ in where they say it."""
    if not isinstance(content, dict):
        return str(content)
    found = next((key for key in ("error", "message", "detail") if content.get(key)), None)
    return _said(content[found]) if found else ""


def parse_completion(content: object) -> Answer:
    """The answer in the JSON body of a chat completion.

    Raises:
        ValueError: it is not one.
    """
    try:
        choice = content["choices"][0]  # type: ignore[index]
        message = choice["message"]
        text = message.get("content") or message.get("refusal") or ""
        is_cut = choice.get("finish_reason") == "length"
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise UserError("what came is not a chat completion") from error
    if not isinstance(text, str):
        raise UserError("the content of the message is not text")
    return Answer(text, is_cut)


def retry_after(value: str | None, now: datetime.datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks to wait, given as a number or as a date.

    Returns:
        None where there is no header, or one that says nothing.
    """
    if value is None:
        return None
    try:
        return max(0.0, float(int(value)))
    except ValueError:
        pass
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, (date - (now or datetime.datetime.now(datetime.UTC))).total_seconds())
