import os

import torch

from spokestream.gadgets.workers import KeptWorkers


def test_a_pool_is_kept_for_every_number_of_threads():
    workers = KeptWorkers()
    assert workers(2) is workers(2)
    assert workers(2) is not workers(3)
    assert workers(2).submit(torch.get_num_threads).result() == 1


def test_a_forked_process_makes_its_own(monkeypatch):
    workers = KeptWorkers()
    pool, parent = workers(2), os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    assert workers(2) is not pool
