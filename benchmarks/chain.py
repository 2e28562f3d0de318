"""Time of every gadget of a chain: python benchmarks/chain.py [--quick].

A simulated slice of 350 x 350 pixels and 12 coils goes through the chain of each pipeline as fast as it can. The time
of a gadget is what passes between a message that it takes and the messages that it gives; what later gadgets do with
them is not in it. *Of the computation* is its fraction of the time of all gadgets, *of the scan* of the time that the
scanner takes for one train. *At the end* is the time from the last spoke to the last map, during which the patient
waits.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import ismrmrd
import numpy as np
from measure import print_machine
from rich.console import Console
from rich.table import Table

from spokestream.gadgets.gadget import Chain, Gadget
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import select, start_scan
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.simulate import simulate_scan
from spokestream.simulator.simulation_settings import SimulationSettings

PIPELINES = ("mrf_t1ff", "mrf_t1ff_net")


class Timed(Gadget[Any, Any]):
    """A gadget whose time is measured."""

    def __init__(self, gadget: Gadget[Any, Any]) -> None:
        self._gadget = gadget
        self.name = type(gadget).__name__
        self.accepts = gadget.accepts  # type: ignore[misc]
        self.seconds = 0.0

    def feed(self, message: Any, /) -> Iterator[Any]:
        """Feed the gadget."""
        yield from self._timed(self._gadget.feed(message))

    def finish(self) -> Iterator[Any]:
        """Finish the gadget."""
        yield from self._timed(self._gadget.finish())

    def close(self) -> None:
        """Close the gadget."""
        self._gadget.close()

    def _timed(self, results: Iterable[Any]) -> Iterator[Any]:
        results = iter(results)
        while True:
            begin = perf_counter()
            try:
                result = next(results)
            except StopIteration:
                return
            finally:
                self.seconds += perf_counter() - begin
            yield result


def main() -> None:
    """Print the seconds of every gadget, their fraction of the slice's time, and the time at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small slice, to test that it runs")
    parser.add_argument("--rounds", type=int, default=5, help="each pipeline runs this many times, alternately [5]")
    arguments = parser.parse_args()
    matrix, rounds = (48, 1) if arguments.quick else (350, arguments.rounds)
    logging.getLogger("spokestream").setLevel(logging.ERROR)
    console = Console()
    print_machine(console, 2, ("numpy", "torch", "finufft"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        settings = SimulationSettings(matrix=matrix, seed=1)
        simulate_scan(path, settings)
        scan = read_scan(path)
        readouts = list(scan)
        runs: dict[str, list[tuple[dict[str, float], float]]] = {name: [] for name in PIPELINES}
        for number in range(rounds + 1):  # the first round warms up and is not counted
            for name in PIPELINES:
                run = time_chain(name, scan.xml, readouts)
                if number or arguments.quick:
                    runs[name].append(run)
    for name, of_pipeline in runs.items():
        console.print(gadget_table(name, of_pipeline, load_sequence(settings.sequence).duration_ms / 1000))


def time_chain(pipeline: str, xml: str, readouts: list[ismrmrd.Acquisition]) -> tuple[dict[str, float], float]:
    """The seconds of every gadget by its name, and those from the last spoke to the last map."""
    gadgets = [Timed(g) for g in start_scan(select(pipeline), xml, logging.getLogger("spokestream")).gadgets]
    last_spoke = 0.0

    def arriving() -> Iterator[ismrmrd.Acquisition]:
        nonlocal last_spoke
        for readout in readouts:
            last_spoke = perf_counter()
            yield readout

    for _ in run_chain(Chain(gadgets), arriving()):
        last_map = perf_counter()
    return {gadget.name: gadget.seconds for gadget in gadgets}, last_map - last_spoke


def gadget_table(pipeline: str, runs: list[tuple[dict[str, float], float]], scan_s: float) -> Table:
    """The medians over runs; the scanner takes `scan_s` for one train."""
    ends = [end for _, end in runs]
    totals = [sum(seconds.values()) for seconds, _ in runs]
    title = f"{pipeline}: {np.median(totals):.2f} s, at the end {np.median(ends):.2f} s; the scan takes {scan_s:.1f} s"
    table = Table(title=title)
    table.add_column("gadget")
    table.add_column("s", justify="right")
    table.add_column("of the computation", justify="right")
    table.add_column("of the scan", justify="right")
    for gadget in runs[0][0]:
        seconds = [run[gadget] for run, _ in runs]
        fraction = np.median(np.divide(seconds, totals))
        of_scan = f"{100 * np.median(seconds) / scan_s:.2f} %"
        table.add_row(gadget, f"{np.median(seconds):.3f}", f"{100 * fraction:.1f} %", of_scan)
    return table


if __name__ == "__main__":
    main()
