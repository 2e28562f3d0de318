"""The reservation of a scan whose readouts grow."""

import asyncio
import logging

import ismrmrd
import pytest

from spokestream.pipelines.node.memory.admission import QUEUE_PART, Admission
from spokestream.pipelines.node.memory.budget import MemoryBudget


def readout(channels, samples):
    return ismrmrd.AcquisitionHeader(active_channels=channels, number_of_samples=samples)


def test_readouts_that_grow_one_by_one_are_planned_for_in_few_steps():
    planned = []

    def plan(channels, n_bytes):
        planned.append((channels, n_bytes))
        return n_bytes

    async def scenario():
        admission = Admission(MemoryBudget(1 << 30, 1), plan, logging.getLogger("test"))
        assert await admission.admit(readout(2, 1), lambda place: None, 100) == 16 // QUEUE_PART
        for samples in range(2, 5000):
            await admission.accept(readout(2, samples))
            assert admission.held >= 2 * 8 * samples
        for channels in range(3, 1000):
            await admission.accept(readout(channels, 1))
        assert admission.held < 1.25 * 2 * 8 * 5000
        admission.release()

    asyncio.run(scenario())
    assert planned[0] == (2, 16)
    # a factor of 5,000 and one of 500 in steps of a quarter, and single ones at the start
    assert len(planned) < 90


@pytest.mark.parametrize(("needed", "queue"), [(0, 1000), (4000, 500), (1 << 20, 1000)])
def test_the_queue_of_a_scan_has_a_part_of_its_memory(needed, queue):
    async def scenario():
        admission = Admission(MemoryBudget(1 << 30, 1), lambda *_: needed, logging.getLogger("test"))
        return await admission.admit(None, lambda place: None, 1000)

    assert asyncio.run(scenario()) == queue
