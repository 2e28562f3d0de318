"""Network inference: fingerprints of a slice to its quantitative maps, by a network archive."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Complex, Fingerprints, Float, Mask, ParameterMaps
from spokestream.gadgets.model_fit.inversion import EXPECTED, inversion_efficiency
from spokestream.gadgets.network.contract import Contract, Where
from spokestream.gadgets.network.missing_frames import missing_frames, refill
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.scan.header import ScanContext
from spokestream.gadgets.scan.main_field import fat_spectrum, field_t
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.tissue_models.water_fat import ClosedForm

__all__ = ["NetworkInference", "check_scan", "physical_maps", "sample"]


SAMPLED_BLOCK = 64
"""Pixels along each side."""
FEWEST_VOXELS = 5000
"""That tell the efficiency of an inversion."""
FIELD_TOLERANCE = 0.05
"""Relative difference of field strengths that the fat spectrum may have."""
EFFICIENCY_TOLERANCE = 0.01
"""Outside the range that a network knows; about as well as one slice tells the efficiency."""


class NetworkInference(Gadget[Fingerprints, ParameterMaps]):
    """Maps, and their standard deviations as `<map>_std`, by a network that was made for the scan's sequence.

    Maps that are all a fingerprint depends on also tell the efficiency of the slice's inversion.

    Args:
        network: may be shared with other scans.
        turn: gives a context in which the network is this scan's alone; entered for every slice.
        closed_form: of the scan, through the network's basis; made at the start if it is needed and None.

    """

    accepts = (Fingerprints,)

    def __init__(
        self,
        network: TiledNetwork,
        turn: Callable[[], AbstractContextManager[object]] = nullcontext,
        closed_form: ClosedForm | None = None,
    ) -> None:
        self.network = network
        self._turn = turn
        self._closed_form = closed_form

    def start(self, scan: ScanContext) -> None:
        """Refuse a network that was made for another sequence or field."""
        contract = self.network.contract
        check_scan(contract, scan)
        precision = str(self.network.precision).removeprefix("torch.")
        scan.provenance["network"] = (
            f"{contract.name}, {self.network.digest}, {precision} on {self.network.device.type}"
        )
        self._scan = scan
        if contract.gives_all and self._closed_form is None:
            self._closed_form = ClosedForm(scan.sequence, contract.basis, fat_spectrum(scan))
        self._atoms: NDArray[np.float64] | None = None

    def feed(self, message: Fingerprints, /) -> Iterator[ParameterMaps]:
        """Run the foreground of one slice."""
        known, foreground = self.network.contract.efficiency, message.foreground
        coefficients, efficiency, told = self._whole(message), None, 1.0
        try:
            with self._turn():
                if known:
                    efficiency = self._beforehand(coefficients, message, known)
                    told = float(np.clip(efficiency, *known))
                maps = self._maps(coefficients, foreground, foreground, told)
        except MemoryError as error:
            raise ScanError(f"The network cannot run: {error}.") from None
        if efficiency is None and self.network.contract.gives_all and self._scan.sequence.inversion:
            efficiency = self._efficiency(coefficients, maps, foreground)
        yield ParameterMaps(maps, message.slice, message.geometry, foreground, message.integrity, message, efficiency)

    def _beforehand(self, coefficients: Complex, message: Fingerprints, known: tuple[float, float]) -> float:
        """The inversion's efficiency by first maps of a part of the slice; warns where it is not what is known."""
        part = sample(message.foreground)
        maps = self._maps(coefficients, message.foreground, part, float(np.clip(EXPECTED, *known)))
        efficiency = self._efficiency(coefficients, maps, part)
        if not known[0] - EFFICIENCY_TOLERANCE <= efficiency <= known[1] + EFFICIENCY_TOLERANCE:
            self._scan.log.warning(
                "The inversion in slice %d is %.2f efficient, but the network knows %.2f to %.2f: T1 may be off.",
                message.slice + 1, efficiency, *known,
            )  # fmt: skip
        return efficiency

    def _maps(self, coefficients: Complex, foreground: Mask, wanted: Mask, efficiency: float = 1.0) -> dict[str, Float]:
        """Of the wanted part of the foreground."""
        planes = self.network.planes(coefficients, foreground, self._scan.threads, efficiency, wanted)
        return physical_maps(planes, self.network.contract, wanted)

    def _efficiency(self, coefficients: Complex, maps: dict[str, Float], there: Mask) -> float:
        """Of the inversion, by maps of a part of the slice."""
        assert self._closed_form is not None
        return inversion_efficiency(coefficients, self.network.contract.basis, maps, there, self._closed_form)

    def _whole(self, message: Fingerprints) -> Complex:
        """The coefficients, with an estimate of what missing frames would add."""
        contract = self.network.contract
        missing = missing_frames(contract.basis, message.basis)
        if missing is None:
            raise ScanError("The images are in another temporal basis than the network's.")
        if not missing:
            return message.data
        if self._atoms is None:
            self._atoms = build_dictionary(self._scan.sequence).atoms
        try:
            matrix = refill(contract.basis, missing, self._atoms)
        except ValueError as error:
            raise ScanError(f"Slice {message.slice + 1} cannot be completed: {error}.") from None
        self._scan.log.warning(
            "Slice %d lacks %d of %d frames, which were estimated from the others.",
            message.slice + 1, len(missing), len(contract.basis.weights),
        )  # fmt: skip
        return np.asarray(np.tensordot(matrix, message.data, axes=1), np.complex64)


def check_scan(contract: Contract, scan: ScanContext) -> None:
    """Raises ScanError for a scan with another sequence or field than the network was made for."""
    difference = contract.sequence.difference(scan.sequence)
    if difference:
        raise ScanError(f"The network was made for another sequence than this scan's: {difference}.")
    if abs(field_t(scan) / contract.field_t - 1) > FIELD_TOLERANCE:
        raise ScanError(f"The network was made for {contract.field_t:g} T, not for this scan's {field_t(scan):g} T.")


def sample(foreground: Mask) -> Mask:
    """Pixels of every other block in both directions, a quarter of the foreground; all of it where it is small."""
    y, x = (np.arange(n) // SAMPLED_BLOCK % 2 == 0 for n in foreground.shape)
    part = foreground & y[:, None] & x
    return part if part.sum() >= FEWEST_VOXELS else foreground


def physical_maps(planes: Float, contract: Contract, foreground: Mask) -> dict[str, Float]:
    """Maps (y, x) in their units from a network's planes (planes, y, x), which are 0..1.

    0 outside the foreground, and where the contract says that a map means nothing.
    """
    n = len(contract.outputs)
    values = {
        output.map: output.low + (output.high - output.low) * np.clip(plane, 0, 1)
        for output, plane in zip(contract.outputs, planes[:n], strict=True)
    }
    maps: dict[str, Float] = {}
    deviations = iter(planes[n:])
    for output in contract.outputs:
        valid = foreground if output.where is None else foreground & _holds(output.where, values)
        maps[output.map] = np.where(valid, values[output.map], 0).astype(np.float32)
        if output.std:
            deviation = (output.high - output.low) * next(deviations)
            maps[f"{output.map}_std"] = np.where(valid, deviation, 0).astype(np.float32)
    return maps


def _holds(where: Where, values: dict[str, Float]) -> Mask:
    value = values[where.map]
    above = -np.inf if where.above is None else where.above
    below = np.inf if where.below is None else where.below
    return np.asarray((value > above) & (value < below))
