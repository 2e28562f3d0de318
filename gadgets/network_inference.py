"""Network inference: fingerprints of a slice to its quantitative maps, by a network archive."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Complex, Fingerprints, Float, Mask, ParameterMaps
from spokestream.gadgets.model_fit.inversion import EXPECTED, inversion_efficiency
from spokestream.gadgets.network.contract import Contract
from spokestream.gadgets.network.missing_frames import missing_frames, refill
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm

__all__ = ["NetworkInference", "check_scan", "physical_maps", "sample"]

SAMPLED_BLOCK = 64
"""Pixels along each side of a block that is sampled or left out as a whole."""
FEWEST_VOXELS = 5000
"""Voxels from which the inversion efficiency is estimated reliably."""
FIELD_TOLERANCE = 0.05
"""Relative difference of field strengths for which a network is still good: the fat spectrum scales with the field."""
EFFICIENCY_TOLERANCE = 0.01
"""How far outside the trained range an efficiency may lie; one slice gives the efficiency about as accurately."""


class NetworkInference(Gadget[Fingerprints, ParameterMaps]):
    """Maps, and their standard deviations as `<map>_std`, by a network that was trained for the scan's sequence.

    Where the maps include every parameter of the tissue model, the inversion efficiency of the slice is estimated too.

    Args:
        scan: the scan.
        network: may be shared with other scans.
        turn: gives a context in which the network is this scan's alone; entered for every slice.
        closed_form: the scan's signal through the network's basis; made here if it is needed and None.

    Raises ScanError for a scan of another sequence or field than the network was trained for.

    """

    accepts = (Fingerprints,)

    def __init__(
        self,
        scan: ScanContext,
        network: TiledNetwork,
        turn: Callable[[], AbstractContextManager[object]] = nullcontext,
        closed_form: ClosedForm | None = None,
    ) -> None:
        contract = network.contract
        check_scan(contract, scan)
        precision = str(network.precision).removeprefix("torch.")
        scan.provenance["network"] = f"{contract.name}, {network.digest}, {precision} on {network.device.type}"
        if not contract.gives_all:
            closed_form = None
        elif closed_form is None:
            closed_form = contract.model.closed_form(scan.sequence, contract.basis, scan.field_t)
        self._scan = scan
        self._network = network
        self._turn = turn
        self._closed_form = closed_form
        self._atoms: NDArray[np.float64] | None = None

    def feed(self, message: Fingerprints, /) -> Iterator[ParameterMaps]:
        """Run the foreground of one slice."""
        trained, foreground, signal = self._network.contract.efficiency, message.foreground, self._closed_form
        coefficients, efficiency, nominal = self._whole(message), None, 1.0
        try:
            with self._turn():
                if trained and signal:
                    efficiency = self._beforehand(coefficients, message, trained, signal)
                    nominal = float(np.clip(efficiency, *trained))
                maps = self._maps(coefficients, foreground, foreground, nominal)
        except MemoryError as error:
            raise ScanError(f"The network cannot run: {error}.") from None
        if efficiency is None and signal and self._scan.sequence.inversion:
            efficiency = self._efficiency(coefficients, maps, foreground, signal)
        yield ParameterMaps(maps, message.slice, message.geometry, foreground, message, efficiency)

    def _beforehand(
        self, coefficients: Complex, message: Fingerprints, trained: tuple[float, float], signal: ClosedForm
    ) -> float:
        """The inversion efficiency from first maps of a part of the slice; warns outside the trained range."""
        part = sample(message.foreground)
        maps = self._maps(coefficients, message.foreground, part, float(np.clip(EXPECTED, *trained)))
        efficiency = self._efficiency(coefficients, maps, part, signal)
        if not trained[0] - EFFICIENCY_TOLERANCE <= efficiency <= trained[1] + EFFICIENCY_TOLERANCE:
            self._scan.log.warning(
                "The inversion in slice %d is %.2f efficient, but the network knows %.2f to %.2f: T1 may be off.",
                message.slice + 1, efficiency, *trained,
            )  # fmt: skip
        return efficiency

    def _maps(self, coefficients: Complex, foreground: Mask, wanted: Mask, efficiency: float) -> dict[str, Float]:
        """The maps of the wanted part of the foreground."""
        planes = self._network.planes(coefficients, foreground, self._scan.threads, efficiency, wanted)
        return physical_maps(planes, self._network.contract, wanted)

    def _efficiency(self, coefficients: Complex, maps: dict[str, Float], mask: Mask, signal: ClosedForm) -> float:
        """The inversion efficiency from the maps of a part of the slice."""
        return inversion_efficiency(coefficients, self._network.contract.basis, maps, mask, signal)

    def _whole(self, message: Fingerprints) -> Complex:
        """The coefficients, with an estimate of what missing frames would add."""
        contract = self._network.contract
        missing = missing_frames(contract.basis, message.basis)
        if missing is None:
            raise ScanError("The images are in another temporal basis than the network's.")
        if not missing:
            return message.data
        if self._atoms is None:
            self._atoms = contract.model.dictionary(self._scan.sequence).atoms
        try:
            matrix = refill(contract.basis, missing, self._atoms)
        except ScanError as error:
            raise ScanError(f"Slice {message.slice + 1} cannot be completed: {error}.") from None
        self._scan.log.warning(
            "Slice %d lacks %d of %d frames, which were estimated from the others.",
            message.slice + 1, len(missing), len(contract.basis.weights),
        )  # fmt: skip
        return np.asarray(np.tensordot(matrix, message.data, axes=1), np.complex64)


def check_scan(contract: Contract, scan: ScanContext) -> None:
    """Raises ScanError for a scan with another sequence or field than the network was trained for."""
    difference = contract.sequence.difference(scan.sequence)
    if difference:
        raise ScanError(f"The network was made for another sequence than this scan's: {difference}.")
    if abs(scan.field_t / contract.field_t - 1) > FIELD_TOLERANCE:
        raise ScanError(f"The network was made for {contract.field_t:g} T, not for this scan's {scan.field_t:g} T.")


def sample(foreground: Mask) -> Mask:
    """Pixels of every other block in both directions, a quarter of the foreground; all of it where it is small."""
    y, x = (np.arange(n) // SAMPLED_BLOCK % 2 == 0 for n in foreground.shape)
    part = foreground & y[:, None] & x
    return part if part.sum() >= FEWEST_VOXELS else foreground


def physical_maps(planes: Float, contract: Contract, foreground: Mask) -> dict[str, Float]:
    """Maps (y, x) in their units from a network's planes (planes, y, x), which are 0..1.

    They are 0 outside the foreground, and where the contract says that a map means nothing.
    """
    n = len(contract.outputs)
    values = {
        output.map: output.low + (output.high - output.low) * np.clip(plane, 0, 1)
        for output, plane in zip(contract.outputs, planes[:n], strict=True)
    }
    maps: dict[str, Float] = {}
    deviations = iter(planes[n:])
    for output in contract.outputs:
        valid = foreground if output.where is None else foreground & output.where.mask(values)
        maps[output.map] = np.where(valid, values[output.map], 0).astype(np.float32)
        if output.std:
            deviation = (output.high - output.low) * next(deviations)
            maps[f"{output.map}_std"] = np.where(valid, deviation, 0).astype(np.float32)
    return maps
