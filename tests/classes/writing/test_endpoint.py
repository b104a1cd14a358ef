"""Descriptions from an endpoint: a real server on loopback, which misbehaves."""

import itertools
import json
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import pytest
from chat_server import ChatServer, Reply, good_reply, sentences

from animal_clip_jax import describe as write
from animal_clip_jax.classes.descriptions import read_descriptions

NAMES = ["Walking", "Eating", "Keeping still", "Man O'War, portuguese"]
KEY = "sk-test-0123456789"


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "actions.txt"
    path.write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def start(tmp_path, labels, monkeypatch):
    """Starts a server and the command against it: (exit status, server)."""

    def start(reply, *arguments, output="out.csv"):
        with ChatServer(reply) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            return write.main(command(labels, tmp_path / output, *arguments)), server

    return start


def command(labels: pathlib.Path, output: pathlib.Path, *arguments: str) -> list[str]:
    return [
        f"--labels={labels}",
        "--kind=action",
        "--backend=openai",
        "--model=writer",
        f"--output={output}",
        "--num_descriptions=3",
        *arguments,
    ]


def expected(names=NAMES, wanted=3) -> list[list[str]]:
    return [list(itertools.islice(sentences(name), wanted)) for name in names]


def test_a_file_that_can_be_read_back(tmp_path, start, capsys):
    status, server = start(good_reply)
    assert status == 0
    assert read_descriptions(tmp_path / "out.csv", NAMES) == expected()
    content = (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert content.startswith("action,description\nWalking,The striped animal of Walking lifts")
    assert sorted(server.names()) == sorted(NAMES)
    assert {path.name for path in tmp_path.iterdir()} == {
        "actions.txt",
        "out.csv",
        "out.csv.journal.jsonl",
    }
    fields = server.requests[0].fields
    assert fields["model"] == "writer" and fields["temperature"] == 0.8
    assert len({request.fields["seed"] for request in server.requests}) == len(NAMES)
    printed = capsys.readouterr()
    assert "requests       4 if nothing is rejected" in printed.out
    assert printed.out.endswith(f"written        {tmp_path / 'out.csv'}\n")


def test_several_requests_a_class(tmp_path, start):
    status, server = start(good_reply, "--num_descriptions=7", "--per_request=3")
    assert status == 0
    assert read_descriptions(tmp_path / "out.csv", NAMES) == expected(wanted=7)
    asked = [(r.written, r.count) for r in server.requests if r.name == "Eating"]
    assert asked == [(0, 3), (3, 3), (6, 1)]


def test_more_can_be_asked_for_later(tmp_path, start):
    start(good_reply)
    status, server = start(good_reply, "--num_descriptions=5", "--overwrite")
    assert status == 0
    assert read_descriptions(tmp_path / "out.csv", NAMES) == expected(wanted=5)
    assert [(r.written, r.count) for r in server.requests] == [(3, 2)] * 4


FAULTS = {
    "too many requests": Reply(status=429, body=b'{"error": {"message": "slow down"}}'),
    "server error": Reply(status=500, body=b"oops"),
    "half a JSON body": Reply(body=b'{"choices": [{"message": {"content": "1. The ani'),
    "no completion": Reply(body=b'{"choices": []}'),
    "a refusal": Reply("I'm sorry, but I can't help with that."),
    "an empty answer": Reply(""),
    "400 words": Reply("1. " + "the animal walks on " * 100),
    "another language": Reply("1. Das Tier läuft langsam durch das trockene Gras."),
    "the text of another class": Reply(f"1. {expected()[0][0]}\n2. {expected()[0][0]}"),
    "cut off": Reply("1. The animal walks on the", finish_reason="length"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_wrong_once_is_asked_again(tmp_path, start, fault):
    failed = threading.Event()

    def reply(request):
        if request.name == "Eating" and not failed.is_set():
            failed.set()
            return FAULTS[fault]
        return good_reply(request)

    status, server = start(reply)
    assert status == 0
    assert read_descriptions(tmp_path / "out.csv", NAMES) == expected()
    assert sorted(server.names()) == sorted([*NAMES, "Eating"])
    first, second = (r.fields["seed"] for r in server.requests if r.name == "Eating")
    # The same question was not answered; another one is asked where the answer was no use.
    assert (first == second) == (fault in list(FAULTS)[:4])


def test_retry_after_is_waited_for(tmp_path, start):
    def reply(request):
        if len(server_times) == 0:
            server_times.append(request.time)
            return Reply(status=429, headers={"Retry-After": "1"})
        server_times.append(request.time)
        return good_reply(request)

    server_times: list[float] = []
    assert start(reply, "--concurrency=1")[0] == 0
    assert server_times[1] - server_times[0] >= 1


def test_a_hang_is_given_up_and_asked_again(tmp_path, start):
    release, is_first = threading.Event(), threading.Lock()

    def reply(request):
        if request.name == "Eating" and is_first.acquire(blocking=False):
            release.wait(30)
        return good_reply(request)

    try:
        status, server = start(reply, "--timeout=0.5")
    finally:
        release.set()
    assert status == 0
    assert server.names().count("Eating") == 2
    assert read_descriptions(tmp_path / "out.csv", NAMES) == expected()


def test_what_stays_wrong_is_listed_and_nothing_is_written(tmp_path, start, capsys):
    replies = {
        "Eating": Reply("I'm sorry, but I can't help with that."),
        "Walking": Reply("1. " + expected()[0][0]),
    }
    status, server = start(
        lambda request: replies.get(request.name) or good_reply(request), "--extra_rounds=2"
    )
    assert status == 2
    assert not (tmp_path / "out.csv").exists()
    assert server.names().count("Eating") == 3 and server.names().count("Keeping still") == 1
    error = capsys.readouterr().err
    assert "error: 2 of 4 classes are incomplete" in error
    assert "\nEating: 0 of 3; rejected: 3x a refusal, such as \"I'm sorry, but I can't" in error
    assert "\nWalking: 1 of 3; rejected: 2x a repetition, such as 'The striped animal" in error
    # The same again asks nothing: the rounds are used up. More rounds ask what is missing.
    status, server = start(good_reply, "--extra_rounds=2")
    assert (status, server.names()) == (2, [])
    status, server = start(good_reply, "--extra_rounds=3")
    assert (status, sorted(server.names())) == (0, ["Eating", "Walking"])
    assert read_descriptions(tmp_path / "out.csv", NAMES)[2:] == expected()[2:]


def test_no_more_requests_at_a_time_than_allowed(tmp_path, labels, start):
    labels.write_text("\n".join(f"Action {i}" for i in range(9)), encoding="utf-8")
    all_there = threading.Barrier(3)

    def reply(request):
        all_there.wait(30)  # breaks, and the command fails, unless three come together
        return good_reply(request)

    status, server = start(reply, "--concurrency=3")
    assert (status, server.most_at_once) == (0, 3)


@pytest.mark.parametrize(
    "reply, message",
    [
        (
            Reply(status=401, body=json.dumps({"error": {"message": f"bad key {KEY}"}}).encode()),
            "status 401; is the key in OPENAI_API_KEY right?",
        ),
        (Reply(status=403), "status 403; is the key in OPENAI_API_KEY right?"),
        (
            Reply(status=404, body=b'{"error": {"message": "The model does not exist"}}'),
            "status 404: The model does not exist; is --model right, and does OPENAI_BASE_URL have",
        ),
        (
            Reply(status=400, body=f'{{"error": "max_tokens? {KEY}"}}'.encode()),
            "status 400: max_tokens? [key]; --request_fields can change what is sent",
        ),
        (
            Reply(status=422, body=b'{"detail": "no\\nseed"}'),
            'status 422: {"detail": "no\\nseed"}; --request_fields can change what is sent',
        ),
        (Reply(status=307, headers={"Location": "/v2"}), "status 307"),
        (
            Reply(status=429, headers={"Retry-After": "86400"}, body=b'{"message": "quota"}'),
            "status 429, Retry-After 86400: quota; the same command asks again",
        ),
    ],
)
def test_refused_at_once(tmp_path, start, capsys, reply, message):
    status, server = start(lambda request: reply, "--concurrency=1")
    assert (status, len(server.requests)) == (2, 1)
    error = capsys.readouterr().err
    assert error.startswith("error: no answer about 'Walking' from http://127.0.0.1:")
    assert error.count("\n") == 1
    assert message in error
    assert KEY not in error
    assert not (tmp_path / "out.csv").exists()


def test_what_fails_every_time_ends_the_command(tmp_path, start, capsys):
    def reply(request):
        busy = Reply(status=503, body=b"busy")
        return busy if request.name == "Keeping still" else good_reply(request)

    status, server = start(reply, "--retries=2", "--concurrency=1")
    assert status == 2
    assert server.names() == ["Walking", "Eating", *["Keeping still"] * 3]
    error = capsys.readouterr().err
    assert "no answer about 'Keeping still'" in error and "status 503: busy; the same" in error
    status, server = start(good_reply)
    assert status == 0 and sorted(server.names()) == sorted(NAMES[2:])
    assert read_descriptions(tmp_path / "out.csv", NAMES) == expected()


def test_after_a_refusal_nothing_is_repeated(start):
    has_failed = threading.Event()

    def reply(request):
        if request.name == "Walking":
            has_failed.set()
            return Reply(status=503, headers={"Retry-After": "1"})
        assert has_failed.wait(30)
        return Reply(status=400)

    status, server = start(reply, "--concurrency=2")
    assert (status, sorted(server.names())) == (2, ["Eating", "Walking"])


def test_the_key_is_sent_and_kept_nowhere(tmp_path, start, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    _, server = start(good_reply)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    printed = capsys.readouterr()
    assert KEY not in printed.out + printed.err
    assert "/chat/completions" in caplog.text and KEY not in caplog.text
    for path in tmp_path.iterdir():
        assert KEY not in path.read_text(encoding="utf-8")


def test_a_local_server_needs_no_key(tmp_path, labels, monkeypatch):
    with ChatServer(good_reply) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/")
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        assert write.main(command(labels, tmp_path / "out.csv")) == 0
        assert "authorization" not in server.requests[0].headers


def test_fields_of_a_request_can_be_changed(tmp_path, start):
    fields = '{"max_tokens": null, "max_completion_tokens": 900, "temperature": 1}'
    status, server = start(good_reply, f"--request_fields={fields}")
    sent = server.requests[0].fields
    assert status == 0 and "max_tokens" not in sent
    assert (sent["max_completion_tokens"], sent["temperature"]) == (900, 1)


def test_nobody_listens(tmp_path, labels, monkeypatch, capsys):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, and not listening: refuses
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert write.main(command(labels, tmp_path / "out.csv")) == 2
    error = capsys.readouterr().err
    assert "error: cannot reach http://127.0.0.1:" in error and "is the server running" in error


@pytest.mark.parametrize(
    "variables, message",
    [
        ({}, "no OPENAI_API_KEY in the environment"),
        ({"OPENAI_BASE_URL": "localhost:8000/v1"}, "OPENAI_BASE_URL must begin with http"),
        ({"OPENAI_BASE_URL": f"http://user:{KEY}@host/v1"}, "holds a user name or password"),
        ({"OPENAI_API_KEY": f"{KEY}\nX-Other: 1"}, "OPENAI_API_KEY holds characters that no key"),
    ],
)
def test_environment_that_cannot_be_used(tmp_path, labels, monkeypatch, capsys, variables, message):
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert write.main(command(labels, tmp_path / "out.csv")) == 2
    error = capsys.readouterr().err
    assert message in error and KEY not in error


def test_dry_run_asks_nothing_and_writes_nothing(tmp_path, start, capsys):
    before = sorted(tmp_path.iterdir())
    status, server = start(
        good_reply,
        "--dry_run",
        "--num_descriptions=50",
        "--price_per_million=2,10",
    )
    assert (status, server.requests, sorted(tmp_path.iterdir())) == (0, [], before)
    printed = capsys.readouterr().out
    assert "requests       20 if nothing is rejected" in printed  # 4 classes, 10 a request
    assert "output tokens  7,000 at a guess" in printed  # 200 descriptions of 35
    prompt_tokens = int(printed.split("prompt tokens  ")[1].split()[0].replace(",", ""))
    price = float(printed.split("price          ")[1].split()[0])
    assert price == pytest.approx((prompt_tokens * 2 + 7000 * 10) / 1e6, rel=1e-3)


def test_estimates_leave_out_what_is_there(tmp_path, start, capsys):
    start(lambda r: good_reply(r) if r.name == "Walking" else Reply(status=400), "--concurrency=1")
    capsys.readouterr()
    start(good_reply, "--dry_run")
    assert "requests       3 if nothing is rejected" in capsys.readouterr().out


@pytest.fixture
def blocked(tmp_path, labels):
    """A command that has two of four answers and waits for the third: (process, server, run).

    The server answers when the event `server.release` is set.
    """
    is_blocked, release = threading.Event(), threading.Event()

    def reply(request):
        if len(server.requests) > 2 and not release.is_set():
            is_blocked.set()
            release.wait(60)
        return good_reply(request)

    def run(output: str) -> subprocess.Popen:
        arguments = command(labels, tmp_path / output, "--concurrency=1")
        program = [sys.executable, "-m", "animal_clip_jax.describe", *arguments]
        variables = {"OPENAI_BASE_URL": server.url, "NO_PROXY": "127.0.0.1"}
        return subprocess.Popen(
            program, env=os.environ | variables, text=True, stderr=subprocess.PIPE
        )

    # A shell without job control starts what runs in its background with this signal ignored, and
    # children inherit that; they do not inherit a handler.
    of_the_tests = signal.signal(signal.SIGINT, signal.default_int_handler)
    with ChatServer(reply) as server:
        server.release = release
        process = run("out.csv")
        signal.signal(signal.SIGINT, of_the_tests)
        try:
            assert is_blocked.wait(60)
            assert server.names() == NAMES[:3]
            yield process, server, run
        finally:
            release.set()
            process.kill()
            process.communicate()


def finish(process: subprocess.Popen) -> tuple[int, str]:
    error = process.communicate(timeout=60)[1]
    return process.returncode, error


def test_killed_and_started_again(tmp_path, blocked):
    process, server, run = blocked
    process.send_signal(signal.SIGKILL)
    assert finish(process)[0] == -signal.SIGKILL
    server.release.set()
    assert not (tmp_path / "out.csv").exists()
    assert finish(run("out.csv"))[0] == 0
    assert server.names()[3:] == NAMES[2:]  # the third was never answered
    assert finish(run("undisturbed.csv"))[0] == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "undisturbed.csv").read_bytes()


def test_interrupted_from_the_keyboard(tmp_path, blocked):
    process, server, run = blocked
    process.send_signal(signal.SIGINT)
    server.release.set()
    status, error = finish(process)
    assert status == 130, error
    assert error.endswith("stopped by Ctrl-C; the same command goes on from here\n")
    assert not (tmp_path / "out.csv").exists()
    assert finish(run("out.csv"))[0] == 0
    # What was under way was waited for and kept: no class is asked about twice.
    assert server.names() == NAMES


def test_two_commands_for_one_file(tmp_path, blocked):
    process, server, run = blocked
    status, error = finish(run("out.csv"))
    assert status == 2
    assert f"out.csv is being written by process {process.pid} on host " in error
    assert len(server.requests) == 3
    server.release.set()
    assert finish(process)[0] == 0


@pytest.mark.parametrize(
    "content", ["text", [], {}, {"choices": None}, {"choices": [{"message": {"content": [1]}}]}]
)
def test_what_is_not_a_completion(tmp_path, start, capsys, content):
    reply = Reply(body=json.dumps(content).encode(), headers={"Content-Type": "application/json"})
    status, server = start(lambda request: reply, "--retries=2", "--concurrency=1")
    assert (status, len(server.requests)) == (2, 3)
    assert "what came is not a chat completion" in capsys.readouterr().err
