"""Tasks that Ray hands to workers, which keep what they need; a task whose worker dies is done
again by another one."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayActorError, RayTaskError

from animal_clip_jax.errors import UserError, shortened
from animal_clip_jax.ray_cluster import Resources

# So often is a task tried whose worker dies.
MOST_TRIES = 3
# Tasks that a worker has at a time: while one ends or begins, the other keeps the device busy.
TASKS_AT_ONCE = 2
_NOTICE_SECONDS = 30.0


class _Given(NamedTuple):
    """A task that a worker has: tried so often before, and for so many at a time."""

    worker: Any
    task: Any
    tries: int
    slots: int


def deal(
    tasks: Sequence[Any],
    start: Callable[[], Any],
    resources: Resources,
    *,
    done: Callable[[Any, Any], None],
    say: Callable[[str], None],
    split: Callable[[Any], Sequence[Any]] = lambda task: [task],
    in_words: Callable[[Any], str] = str,
) -> None:
    """Has tasks done, each by one of the workers, and again by another where it dies.

    Args:
        tasks: what a worker's method `work` is called with.
        start: starts a worker, an actor of Ray that is not restarted; its method `ready` is called
            before it gets any task.
        resources: how many workers there are, and what each takes.
        done: called with each task that is done, and what `work` gave.
        say: called with what a person should know meanwhile.
        split: a task that killed workers, in smaller ones.
        in_words: a task, for a message.

    Raises:
        UserError: a worker did, or tasks killed each worker that had them; all others are done.
    """
    waiting = deque((task, 0) for task in tasks)
    starting: dict[Any, Any] = {}
    busy: dict[Any, _Given] = {}
    free: dict[Any, int] = {}  # how many tasks each worker could have beside those that it has
    lost: list[Any] = []
    workers: set[Any] = set()
    died_early = 0

    def begin() -> None:
        worker = start()
        workers.add(worker)
        starting[worker.ready.remote()] = worker

    def replace(worker: Any) -> None:
        # One that had two tasks is found dead twice.
        if worker in workers:
            workers.discard(worker)
            free.pop(worker, None)
            begin()

    def give() -> None:
        while waiting and free:
            task, tries = waiting[0]
            # One that had a worker that died is alone with its next one, so that it is known which
            # task it is that kills.
            slots = TASKS_AT_ONCE if tries else 1
            worker = max(free, key=free.__getitem__)
            if free[worker] < slots:
                return
            waiting.popleft()
            free[worker] -= slots
            busy[worker.work.remote(task)] = _Given(worker, task, tries, slots)

    for _ in range(min(resources.number, len(tasks))):
        begin()
    try:
        while waiting or busy:
            give()
            ended, _ = ray.wait([*starting, *busy], timeout=_NOTICE_SECONDS)
            if not ended and not busy:
                say(f"waiting for a worker to start; each takes {resources.needed}")
            for one in ended:
                if one in starting:
                    worker = starting.pop(one)
                    try:
                        _value(one)
                    except RayActorError as error:
                        died_early += 1
                        if died_early == MOST_TRIES * resources.number:
                            raise UserError(
                                "workers die before they have a task; is memory short? Ray says: "
                                f"{shortened(' '.join(str(error).split()))}"
                            ) from error
                        say("a worker died before it had a task; another one is started")
                        replace(worker)
                    else:
                        died_early = 0
                        free[worker] = TASKS_AT_ONCE
                    continue
                given = busy.pop(one)
                try:
                    value = _value(one)
                except RayActorError:
                    replace(given.worker)
                    say(f"a worker died; again: {in_words(given.task)}")
                    tries = given.tries + 1
                    smaller = split(given.task) if tries == MOST_TRIES - 1 else [given.task]
                    if len(smaller) > 1:
                        waiting.extendleft((part, 1) for part in smaller)
                    elif tries < MOST_TRIES:
                        waiting.appendleft((given.task, tries))
                    else:
                        lost.append(given.task)
                else:
                    if given.worker in free:
                        free[given.worker] += given.slots
                    done(given.task, value)
    finally:
        for worker in workers:
            ray.kill(worker)
    if lost:
        raise UserError(
            f"{len(lost)} of the tasks killed their worker again and again, the first: "
            f"{in_words(lost[0])}; all others are done, and the same command tries these again"
        )


def _value(reference: Any) -> Any:
    """What a worker gave; its mistakes of the user are raised as such."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(str(error.cause)) from error
        raise
