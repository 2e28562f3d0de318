"""Coil compression: few virtual coils that carry nearly all of the signal."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import SliceEnd, SliceStart, Spoke
from spokestream.gadgets.scan.context import ScanContext

__all__ = ["CALIBRATION_SPOKES", "CoilCompression", "compression_matrix"]

CALIBRATION_SPOKES = 100
"""Number of spokes at the start of every slice from which the compression is computed; they wait until then."""


class CoilCompression(Gadget[Spoke | SliceEnd, SliceStart | Spoke | SliceEnd]):
    """Projects whitened coils onto the leading singular vectors of the slice's first spokes.

    The first spoke of every slice is announced at once.

    Args:
        scan: the scan.
        n_coils: number of virtual coils to keep. Spokes that have no more coils than that are passed on unchanged.
        calibration_spokes: number of spokes at the start of every slice from which the compression is computed.

    """

    accepts = (Spoke, SliceEnd)

    def __init__(self, scan: ScanContext, n_coils: int = 8, calibration_spokes: int = CALIBRATION_SPOKES) -> None:
        self._scan = scan
        self._n_coils = n_coils
        self._calibration_spokes = calibration_spokes
        self._matrix: NDArray[np.complex64] | None = None
        self._held: list[Spoke] = []
        self._started = False

    def feed(self, message: Spoke | SliceEnd, /) -> Iterator[SliceStart | Spoke | SliceEnd]:
        """Hold back the first spokes of a slice, then compress them and all later spokes."""
        if isinstance(message, SliceEnd):
            yield from self._release()
            self._matrix, self._started = None, False
            yield message
            return
        if not self._started:
            self._started = True
            yield SliceStart(message.slice, min(len(message.data), self._n_coils))
        if len(message.data) <= self._n_coils:
            self._scan.provenance["coils"] = f"{len(message.data)}"
            yield message
        elif self._matrix is not None:
            yield replace(message, data=self._matrix @ message.data)
        else:
            self._held.append(message)
            if len(self._held) >= self._calibration_spokes:
                yield from self._release()

    def _release(self) -> Iterator[Spoke]:
        if not self._held:
            return
        self._matrix, kept = compression_matrix(np.stack([spoke.data for spoke in self._held]), self._n_coils)
        self._scan.provenance["coils"] = f"{self._matrix.shape[1]} compressed to {self._n_coils}"
        self._scan.log.info("Coil compression keeps %.2f %% of the signal.", 100 * kept)
        held, self._held = self._held, []
        for spoke in held:
            yield replace(spoke, data=self._matrix @ spoke.data)


def compression_matrix(data: NDArray[np.complex64], n_coils: int) -> tuple[NDArray[np.complex64], float]:
    """The leading eigenvectors of the coil covariance (Buehrer et al. 2007), and the fraction of energy they keep.

    Args:
        data: (spokes, coils, samples), whitened.
        n_coils: number of virtual coils.

    Returns:
        The matrix (n_coils, coils) with orthonormal rows, so that white noise stays white; the fraction of the energy
        that it keeps, 0..1.

    """
    covariance = np.einsum("ncs,nds->cd", data, data.conj(), optimize=True).astype(np.complex128)
    energy, vectors = np.linalg.eigh(covariance)
    kept = float(energy[-n_coils:].sum() / max(energy.sum(), np.finfo(float).tiny))
    return vectors[:, ::-1][:, :n_coils].conj().T.astype(np.complex64), kept
