"""A server that speaks OpenAI's chat-completions protocol on loopback, and can misbehave."""

import contextlib
import dataclasses
import http.server
import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator

_BODIES = ("striped", "spotted", "grey", "slender", "stocky", "shaggy", "scaly", "feathered")
_DEEDS = ("lifts its head", "bends its neck", "folds its legs", "turns away", "opens its mouth")
_PLACES = ("in the tall grass", "near the water", "on the bare ground", "under a tree")


@dataclasses.dataclass(frozen=True)
class Request:
    """What was asked.

    Attributes:
        name: of the class; read from the prompts that are shipped.
        count: descriptions asked for.
        written: lines of texts that were there already.
        fields: the JSON body.
        headers: of the request, their names in lower case.
        time: when it came, `time.monotonic`.
    """

    name: str
    count: int
    written: int
    fields: dict
    headers: dict[str, str]
    time: float


@dataclasses.dataclass(frozen=True)
class Reply:
    """What is answered: a completion with `text`, or the bytes of `body`."""

    text: str = ""
    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes | None = None
    finish_reason: str = "stop"


def sentences(name: str) -> Iterator[str]:
    """160 different sentences about a class."""
    for place, deed, body in itertools.product(_PLACES, _DEEDS, _BODIES):
        yield f"The {body} animal of {name} {deed} {place}."


def good_reply(request: Request) -> Reply:
    """As many new sentences as were asked for."""
    texts = itertools.islice(sentences(request.name), request.written, None)
    lines = (f"{i}. {text}" for i, text in zip(range(1, request.count + 1), texts, strict=False))
    return Reply("\n".join(lines))


class ChatServer:
    """The server, and what it was asked.

    Attributes:
        url: for OPENAI_BASE_URL.
        requests: all of them, in the order in which they came.
        most_at_once: the most requests that were open at a time.
    """

    def __init__(self, reply: Callable[[Request], Reply]):
        self.reply = reply
        self.requests: list[Request] = []
        self.most_at_once = 0
        self._open = 0
        self._lock = threading.Lock()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                content = self.rfile.read(int(self.headers["Content-Length"]))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    self._send(server.answer(self.path, json.loads(content), headers))

            def _send(self, reply: Reply):
                message = {"role": "assistant", "content": reply.text}
                choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
                body = json.dumps({"object": "chat.completion", "choices": [choice]}).encode()
                body = body if reply.body is None else reply.body
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def answer(self, path: str, fields: dict, headers: dict[str, str]) -> Reply:
        if path != "/v1/chat/completions":
            return Reply(status=404, body=b"no such page")
        prompt = fields["messages"][0]["content"]
        request = Request(
            name=re.search('called "(.+?)"', prompt)[1],
            count=int(re.search(r"Write (\d+)", prompt)[1]),
            written=len(re.findall("^- The ", prompt, re.MULTILINE)),
            fields=fields,
            headers=headers,
            time=time.monotonic(),
        )
        with self._lock:
            self.requests.append(request)
            self._open += 1
            self.most_at_once = max(self.most_at_once, self._open)
        try:
            return self.reply(request)
        finally:
            with self._lock:
                self._open -= 1

    def names(self) -> list[str]:
        """The classes asked about, in the order of the requests."""
        return [request.name for request in self.requests]

    def __enter__(self) -> "ChatServer":
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
