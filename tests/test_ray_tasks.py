"""Tasks on a Ray cluster of two nodes: each is done once, whatever dies. Slow, and only where Ray
is installed."""

import os

import pytest
from ray_cluster_of_two import cluster_of_two

from animal_clip_jax import ray_cluster
from animal_clip_jax.errors import UserError
from animal_clip_jax.ray_cluster import Resources, Seen, check_machines, joined, one_a_cpu
from animal_clip_jax.ray_cluster import one_a_device as devices
from animal_clip_jax.ray_tasks import MOST_TRIES, deal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with cluster_of_two() as address, joined(address):
        yield


def dealt(tasks, folder, *, split=lambda task: [task], dies_at_start=()):
    """What is done, what is said, and the error, of workers that square numbers: a negative number
    kills its worker each time, and 1000 or more the first time."""
    import ray

    class Worker:
        def ready(self):
            number = len(list(folder.glob("start-*")))
            (folder / f"start-{number}-{os.getpid()}").touch()
            if number in dies_at_start:
                os._exit(1)

        def work(self, numbers):
            for number in numbers:
                mark = folder / str(number)
                is_new = not mark.exists()
                mark.open("a").write("x")
                if number < 0 or (number >= 1000 and is_new):
                    os._exit(1)
                if number == 13:
                    raise UserError("13 is not squared")
            return [number**2 for number in numbers]

    worker = ray.remote(num_cpus=1)(Worker)
    done, said = [], []
    error = ""
    try:
        deal(
            tasks,
            worker.remote,
            Resources("CPU", 2, {"num_cpus": 1}),
            done=lambda task, value: done.append((tuple(task), tuple(value))),
            say=said.append,
            split=split,
        )
    except UserError as found:
        error = str(found)
    return sorted(done), said, error


def squares(tasks):
    return sorted((tuple(task), tuple(number**2 for number in task)) for task in tasks)


def test_a_task_whose_worker_dies_is_done_once(tmp_path):
    tasks = [[number] for number in (1, 2, 1000, 3, 4, 1001, 5)]
    done, said, error = dealt(tasks, tmp_path)
    assert done == squares(tasks) and not error
    assert any("again: [1000]" in line for line in said)


def test_what_always_kills_is_left_out_and_named(tmp_path):
    tasks = [[1, 2], [-3, 4], [5, 6], [7]]
    done, _, error = dealt(tasks, tmp_path, split=lambda task: [[number] for number in task])
    assert done == squares([[1, 2], [4], [5, 6], [7]])
    assert error.startswith("1 of the tasks killed their worker again and again, the first: [-3];")
    # In its group of two, and then by itself.
    assert len((tmp_path / "-3").read_text()) == 2 * (MOST_TRIES - 1)


def test_a_mistake_of_the_user_ends_it(tmp_path):
    _, _, error = dealt([[13]], tmp_path)
    assert error == "13 is not squared"


def test_workers_that_die_before_they_have_a_task(tmp_path):
    done, said, error = dealt([[1], [2], [3]], tmp_path, dies_at_start=(0, 1))
    assert done == squares([[1], [2], [3]]) and not error
    assert any("died before it had a task" in line for line in said)
    (tmp_path / "other").mkdir()
    _, _, error = dealt([[1], [2]], tmp_path / "other", dies_at_start=range(99))
    assert error.startswith("workers die before they have a task")


def test_what_the_machines_are_asked(tmp_path, monkeypatch):
    there = tmp_path / "there"
    there.write_text("four")
    assert devices().number == 2 and devices().name == "CPU"
    check_machines(devices(), [Seen.at("the run", tmp_path), Seen.at("the output", there)])
    with pytest.raises(UserError, match="node .* does not see the run, .*/gone, as this machine"):
        check_machines(devices(), [Seen.at("the run", tmp_path / "gone")])
    with pytest.raises(UserError, match="does not see the output"):
        check_machines(devices(), [Seen("the output", str(there), 5)])
    assert one_a_cpu(2).number == 0
    with pytest.raises(UserError, match="no machine .* has what each worker takes: 2 CPU"):
        check_machines(one_a_cpu(2), [])
    monkeypatch.setattr(ray_cluster, "VERSION", "9.9")
    with pytest.raises(UserError, match="has animal_clip_jax .*, this machine has 9.9"):
        check_machines(devices(), [])
