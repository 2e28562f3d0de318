import asyncio

import pytest

from spokestream.errors import InputError, ScanError
from spokestream.pipelines.node.memory import budget
from spokestream.pipelines.node.memory.budget import MemoryBudget, bytes_of, default_memory


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(), 20))


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def silent(place):
    pass


def test_scans_are_admitted_in_order_even_if_a_later_one_would_fit():
    async def scenario():
        budget, order, places = MemoryBudget(100, 8), [], {"large": [], "small": []}

        async def scan(name, n_bytes):
            await budget.reserve(n_bytes, places[name].append)
            order.append(name)

        await budget.reserve(60, silent)
        large = asyncio.create_task(scan("large", 90))
        await settle()
        small = asyncio.create_task(scan("small", 20))
        await settle()
        assert order == []
        assert places == {"large": [1], "small": [2]}
        budget.release(60)
        await settle()
        assert order == ["large"]
        assert places == {"large": [1], "small": [2, 1]}
        budget.release(90)
        await asyncio.gather(large, small)
        assert (order, budget.reserved) == (["large", "small"], 20)

    run(scenario)


def test_a_scan_that_can_never_fit_is_refused_with_the_numbers():
    async def scenario():
        budget = MemoryBudget(1 << 30, 8)
        with pytest.raises(ScanError, match=r"needs 1.5 GiB of memory, but the node has 1.0 GiB for all scans"):
            await budget.reserve(3 << 29, silent)
        assert budget.reserved == 0

    run(scenario)


def test_the_queue_is_bounded_and_who_leaves_it_makes_room():
    async def scenario():
        budget, places = MemoryBudget(100, 2), []
        await budget.reserve(100, silent)
        first = asyncio.create_task(budget.reserve(100, silent))
        await settle()
        second = asyncio.create_task(budget.reserve(50, places.append))
        await settle()
        with pytest.raises(ScanError, match="2 scans wait for it already"):
            await budget.reserve(1, silent)
        first.cancel()
        await settle()
        assert budget.reserved == 100
        budget.release(100)
        await second
        assert budget.reserved == 50

    run(scenario)


def test_a_grant_that_nobody_waits_for_any_more_is_returned():
    async def scenario():
        budget = MemoryBudget(100, 2)
        await budget.reserve(100, silent)
        waiting = asyncio.create_task(budget.reserve(70, silent))
        await settle()
        budget.release(100)
        waiting.cancel()  # before it has seen that it was granted
        await settle()
        assert waiting.cancelled()
        assert budget.reserved == 0

    run(scenario)


def test_a_reservation_grows_only_into_free_memory():
    async def scenario():
        budget = MemoryBudget(100, 2)
        await budget.reserve(40, silent)
        await budget.reserve(30, silent)
        budget.grow(40, 70)
        assert budget.reserved == 100
        with pytest.raises(ScanError, match="a readout is larger than those before it"):
            budget.grow(30, 31)
        assert budget.reserved == 100

    run(scenario)


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("2GiB", 2 << 30), ("800 MiB", 800 << 20), ("1.5gib", 3 << 29), ("1000000", 1_000_000)]
)
def test_sizes(text, n_bytes):
    assert bytes_of(text) == n_bytes


@pytest.mark.parametrize("text", ["", "much", "-1GiB", "2GB2", "inf", "9" * 400])
def test_other_sizes_are_refused(text):
    with pytest.raises(InputError, match="must be a size such as 2GiB"):
        bytes_of(text)


def test_the_default_is_a_fraction_of_the_cgroup_where_it_has_less(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(budget, "CGROUP_LIMITS", (limit,))
    unlimited = default_memory()
    limit.write_text("max\n")
    assert default_memory() == unlimited
    limit.write_text(f"{1 << 20}\n")
    assert default_memory() == int(0.6 * (1 << 20))


def test_scans_that_leave_the_queue_at_once_disturb_nobody():
    async def scenario():
        budget = MemoryBudget(100, 8)
        await budget.reserve(90, silent)
        waiting = [asyncio.create_task(budget.reserve(n_bytes, silent)) for n_bytes in (50, 10, 20)]
        await settle()
        for task in waiting[:2]:
            task.cancel()
        budget.release(90)
        assert await asyncio.gather(*waiting, return_exceptions=True)
        assert [task.cancelled() for task in waiting] == [True, True, False]
        assert budget.reserved == 20

    run(scenario)
