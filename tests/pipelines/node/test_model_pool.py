import threading
import time

import pytest
from toy_network import write_toy_archive

from spokestream.errors import FileError
from spokestream.pipelines.node.model_pool import FairLock, ModelPool


@pytest.fixture
def path(tmp_path):
    return write_toy_archive(tmp_path / "toy.pt")


def wait_until(condition):
    while not condition():
        time.sleep(0.001)


def test_turns_come_in_the_order_of_arrival_and_one_at_a_time():
    turns, order, inside = FairLock(), [], []

    def take(number):
        with turns.held():
            inside.append(number)
            assert len(inside) == 1
            order.append(number)
            time.sleep(0.002)
            inside.remove(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(12)]
    with turns.held():
        for thread in threads:
            queued = len(turns._queue)
            thread.start()
            wait_until(lambda n=queued: len(turns._queue) == n + 1)
    for thread in threads:
        thread.join()
    assert order == list(range(12))


def test_a_turn_that_fails_ends_all_the_same():
    turns = FairLock()
    with pytest.raises(KeyError), turns.held():
        raise KeyError
    with turns.held():
        pass


def test_whoever_gives_up_waiting_leaves_the_queue(monkeypatch):
    def give_up(condition):
        raise KeyboardInterrupt

    turns = FairLock()
    with turns.held():
        waiting = turns.held()
        monkeypatch.setattr(turns._changed, "wait_for", give_up)
        with pytest.raises(KeyboardInterrupt):
            waiting.__enter__()
        assert len(turns._queue) == 1


def test_a_network_is_loaded_once_however_many_ask_at_the_same_time(path):
    pool, shared = ModelPool(), []
    threads = [threading.Thread(target=lambda: shared.append(pool.share(path, "cpu", "float32"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shared) == 8
    assert len({id(one) for one in shared}) == 1
    assert pool.share(path, "cpu", "bfloat16") is not shared[0]


def test_a_broken_archive_is_told_to_everyone_and_blocks_nobody(path, tmp_path):
    pool, broken = ModelPool(), tmp_path / "broken.pt"
    broken.write_bytes(b"PK")
    for _ in range(2):
        with pytest.raises(FileError, match="is no network archive"):
            pool.share(broken, "cpu")
    pool.share(path, "cpu")


def test_the_echo_times_of_a_network_are_found_once(path, monkeypatch):
    shared = ModelPool().share(path)
    found = shared.echo_times
    assert sum(one.vectors.shape[1] for one in found) == shared.network.contract.basis.weights.shape[1]
    monkeypatch.setattr("spokestream.pipelines.node.model_pool.echo_times_of", lambda *_: pytest.fail("found again"))
    assert shared.echo_times is found
