"""Network inference: a network computes the quantitative maps of a slice from its fingerprints."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.imaging.image_kinds import ADJOINT
from spokestream.gadgets.messages import Complex, Fingerprints, Float, Mask, ParameterMaps
from spokestream.gadgets.model_fit.inversion import EXPECTED, inversion_efficiency
from spokestream.gadgets.model_fit.inversion_and_b1 import inversion_and_b1
from spokestream.gadgets.network.contract import Contract
from spokestream.gadgets.network.missing_frames import missing_frames, refill
from spokestream.gadgets.network.pixels import other_pixels
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.fat_spectrum import FIELD_TOLERANCE
from spokestream.simulator.physics.tissue_models.relaxation_b1 import RelaxationB1Signal
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm

__all__ = ["NetworkInference", "check_scan", "halved", "physical_maps"]

FEWEST_VOXELS = 5000
"""Number of voxels of twice the size from which the inversion efficiency can be estimated reliably."""
EFFICIENCY_TOLERANCE = 0.01
"""Distance from the trained range up to which no warning is given: the accuracy of the estimate from one slice."""


class NetworkInference(Gadget[Fingerprints, ParameterMaps]):
    """Computes maps, and their standard deviations as `<map>_std`, by a network trained for the scan's sequence.

    If the maps include every parameter of the tissue model, the inversion efficiency of the slice is estimated as well;
    where flip angles are taken as nominal, only for a network that is conditioned on it.

    Args:
        scan: the scan.
        network: the network, which may be shared with other scans.
        exclusive: returns a context manager in which only this scan uses the network; it is entered for every slice.
        closed_form: the scan's signal in the network's basis. If it is None and needed, it is computed here.

    Raises ScanError if the network was trained for another sequence or field.

    """

    accepts = (Fingerprints,)

    def __init__(
        self,
        scan: ScanContext,
        network: TiledNetwork,
        exclusive: Callable[[], AbstractContextManager[object]] = nullcontext,
        closed_form: ClosedForm | None = None,
    ) -> None:
        contract = network.contract
        check_scan(contract, scan)
        _warn_of_pixels(contract, scan)
        precision = str(network.precision).removeprefix("torch.")
        scan.provenance["network"] = f"{contract.name}, {network.digest}, {precision} on {network.device.type}"
        if not contract.gives_all:
            closed_form = None
        elif closed_form is None:
            closed_form = contract.model.closed_form(scan.sequence, contract.basis, scan.field_t)
        self._scan = scan
        self._network = network
        self._exclusive = exclusive
        self._closed_form = closed_form
        self._atoms: NDArray[np.float64] | None = None
        model = contract.model
        beside_b1 = contract.efficiency is not None and model.nominal_flip_angles
        self._with_b1 = RelaxationB1Signal(scan.sequence, contract.basis) if beside_b1 else None
        of_voxel = {p.name for p in model.parameters if not p.pool and p.name != model.fraction}
        self._limits = {o.map: (o.low, o.high) for o in contract.outputs if o.map in of_voxel}

    def feed(self, message: Fingerprints, /) -> Iterator[ParameterMaps]:
        """Compute the maps of one slice."""
        self._check_readouts(message)
        contract, foreground, signal = self._network.contract, message.foreground, self._closed_form
        trained, efficiency, nominal = contract.efficiency, None, 1.0
        coefficients = self._completed(message)
        if missing := missing_frames(contract.basis, message.basis):
            self._scan.log.warning(
                "Slice %d lacks %d of %d frames, which were estimated from the others.",
                message.slice + 1, len(missing), len(contract.basis.weights),
            )  # fmt: skip
        try:
            with self._exclusive():
                if trained and signal:
                    efficiency = self._efficiency_of_slice(coefficients, message, trained, signal)
                    nominal = float(np.clip(efficiency, *trained))
                maps = self._maps(coefficients, foreground, nominal)
        except MemoryError as error:
            raise ScanError(f"The network cannot run: {error}.") from None
        shows = self._scan.sequence.inversion and not contract.model.nominal_flip_angles
        if efficiency is None and signal and shows:
            efficiency = inversion_efficiency(coefficients, contract.basis, maps, foreground, signal)
        yield ParameterMaps(maps, message.slice, message.geometry, foreground, message, efficiency, self._limits)

    def _efficiency_of_slice(
        self, coefficients: Complex, message: Fingerprints, trained: tuple[float, float], signal: ClosedForm
    ) -> float:
        """The inversion efficiency, from preliminary maps of the slice; warns outside the trained range."""
        basis, foreground, beside_b1 = self._network.contract.basis, message.foreground, self._with_b1
        usual = float(np.clip(EXPECTED, *trained))
        if beside_b1 is None:
            images, mask = halved(coefficients, foreground)
            if mask.sum() < FEWEST_VOXELS:
                images, mask = coefficients, foreground
            efficiency = inversion_efficiency(images, basis, self._maps(images, mask, usual), mask, signal)
        else:
            maps, adjoint = self._maps(coefficients, foreground, usual), self._adjoint(message, coefficients)
            efficiency = inversion_and_b1(adjoint, basis, maps["t1"], maps["t2"], foreground, beside_b1).efficiency
        if not trained[0] - EFFICIENCY_TOLERANCE <= efficiency <= trained[1] + EFFICIENCY_TOLERANCE:
            self._scan.log.warning(
                "The inversion efficiency in slice %d is %.2f, but the network was trained for %.2f to %.2f: "
                "T1 may be wrong.",
                message.slice + 1, efficiency, *trained,
            )  # fmt: skip
        return efficiency

    def _maps(self, coefficients: Complex, foreground: Mask, efficiency: float) -> dict[str, Float]:
        """The maps of the foreground."""
        scan = self._scan
        planes = self._network.planes(coefficients, foreground, scan.threads, efficiency, scan.cancellation)
        return physical_maps(planes, self._network.contract, foreground)

    def _adjoint(self, message: Fingerprints, coefficients: Complex) -> Complex:
        """The coefficients of a slice by images of the adjoint."""
        if self._network.contract.images == ADJOINT:
            return coefficients
        if message.adjoint is None:
            raise ScanError("The inversion efficiency shows in images of the adjoint, which these iterative ones lack.")
        return self._completed(message.adjoint)

    def _check_readouts(self, message: Fingerprints) -> None:
        """Warn of readouts whose aliasing, or lack of it, the network does not know."""
        contract = self._network.contract
        if contract.of_atoms:
            known, training = message.has_corners, "on signals without aliasing, and these readouts are no whole images"
        else:
            known, training = message.straight, "on straight spokes, and these readouts have another shape"
        if not known:
            self._scan.log.warning(
                "Slice %d: the network '%s' was trained %s: its maps are unreliable; use the pipeline of the same name "
                "without '_net'.",
                message.slice + 1, contract.name, training,
            )  # fmt: skip

    def _completed(self, message: Fingerprints) -> Complex:
        """The coefficients, to which an estimate of the contribution of missing frames has been added."""
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
        return np.asarray(np.tensordot(matrix, message.data, axes=1), np.complex64)


def check_scan(contract: Contract, scan: ScanContext) -> None:
    """Raise ScanError if the network was trained for another sequence or field than the scan's."""
    difference = contract.sequence.difference(scan.sequence)
    if difference:
        raise ScanError(f"The network was made for another sequence than this scan's: {difference}.")
    if abs(scan.field_t / contract.field_t - 1) > FIELD_TOLERANCE:
        raise ScanError(f"The network was made for {contract.field_t:g} T, not for this scan's {scan.field_t:g} T.")


def _warn_of_pixels(contract: Contract, scan: ScanContext) -> None:
    """Warn if the pixels of a scan are smaller or larger than those of the training."""
    if contract.pixel_mm is not None and (others := other_pixels(*contract.pixel_mm, scan.header)):
        scan.log.warning(
            "The network '%s' was trained for %s: its maps are unreliable; use the pipeline of the same name without "
            "'_net'.",
            contract.name, others,
        )  # fmt: skip


def halved(coefficients: Complex, foreground: Mask) -> tuple[Complex, Mask]:
    """A slice (K, y, x) with pixels of twice the size, and its foreground, whose pixels are all inside the former one.

    Maps of it take a quarter of the time. A quarter of the pixels would take as little, but aliasing is alike in
    neighbours: with every other block of 64 pixels, the estimated efficiency was wrong by up to 0.012 instead of 0.004.
    """
    y, x = (n // 2 for n in foreground.shape)
    blocks = coefficients[:, : 2 * y, : 2 * x].reshape(-1, y, 2, x, 2)
    inside = foreground[: 2 * y, : 2 * x].reshape(y, 2, x, 2)
    return blocks.mean((2, 4), dtype=np.complex64), np.asarray(inside.all((1, 3)))


def physical_maps(planes: Float, contract: Contract, foreground: Mask) -> dict[str, Float]:
    """The maps (y, x) in their units, from the output of a network (planes, y, x), which is 0..1.

    Maps are 0 outside the foreground, and where the contract says that they have no meaning.
    """
    n = len(contract.outputs)
    values = {
        output.map: output.scale.from_unit(np.clip(plane, 0, 1))
        for output, plane in zip(contract.outputs, planes[:n], strict=True)
    }
    maps: dict[str, Float] = {}
    standard_deviations = iter(planes[n:])
    for output in contract.outputs:
        valid = foreground if output.where is None else foreground & output.where.mask(values)
        maps[output.map] = np.where(valid, values[output.map], 0).astype(np.float32)
        if output.std:
            std = output.scale.std_from_unit(next(standard_deviations), values[output.map])
            maps[f"{output.map}_std"] = np.where(valid, std, 0).astype(np.float32)
    return maps
