"""A server that answers as Hugging Face's hub does, with one model. For HF_ENDPOINT."""

import contextlib
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator, Mapping

NAME, COMMIT = "owner/model", "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """What a running server is and has been asked.

    Attributes:
        url: of the server.
        fetched: the files that were downloaded, in order.
    """

    def __init__(self, url: str):
        self.url = url
        self.fetched: list[str] = []


@contextlib.contextmanager
def serve(files: Mapping[str, bytes]) -> Iterator[Hub]:
    """Serves the model `NAME` with these files; "owner/gated" asks for an agreement, and there is
    no other."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_HEAD(self):
            self.answer()

        def do_GET(self):
            self.answer()

        def answer(self):
            path = self.path.partition("?")[0].lstrip("/")
            if "owner/gated" in path:
                return self.say(403, b"", {"X-Error-Code": "GatedRepo"})
            if path in (f"api/models/{NAME}", f"api/models/{NAME}/revision/main"):
                siblings = [{"rfilename": name} for name in files]
                return self.say_json({"id": NAME, "sha": COMMIT, "siblings": siblings})
            if path.startswith(f"api/models/{NAME}/revision/"):
                return self.say(404, b"", {"X-Error-Code": "RevisionNotFound"})
            if path == f"api/models/{NAME}/tree/{COMMIT}":
                return self.say_json(
                    [
                        {"type": "file", "path": name, "size": len(content), "oid": _digest(name)}
                        for name, content in files.items()
                    ]
                )
            name = path.removeprefix(f"{NAME}/resolve/{COMMIT}/")
            if name not in files:
                return self.say(404, b"", {"X-Error-Code": "RepoNotFound"})
            if self.command == "GET":
                hub.fetched.append(name)
            return self.say(
                200, files[name], {"ETag": f'"{_digest(name)}"', "X-Repo-Commit": COMMIT}
            )

        def say_json(self, content):
            self.say(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def say(self, code: int, content: bytes, headers: Mapping[str, str]):
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub = Hub(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


def _digest(name: str) -> str:
    return hashlib.sha1(name.encode()).hexdigest()
