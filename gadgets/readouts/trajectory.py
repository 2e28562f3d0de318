"""The positions of a spoke's samples in k-space: embedded in the readout, or computed from an angle."""

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

__all__ = ["SpokeTrajectory", "embedded_trajectory"]

RADIAL = ("radial", "goldenangle", "other")
"""Names of radial trajectories in an ISMRMRD header; "other" is accepted because embedded positions define it."""
NOTABLE_SAMPLES = 0.5
"""Difference between embedded and computed positions, in samples, above which a warning is given."""


class SpokeTrajectory:
    """Gives the positions of every spoke of a scan, and records once where they come from.

    Args:
        scan: the scan.
        source: "auto" takes the embedded trajectory if there is one, otherwise golden angles; "angle" reads radians
            from `user_float[0]`; "golden" ignores embedded trajectories.

    Raises ScanError if the scan is not radial.

    """

    def __init__(self, scan: ScanContext, source: str = "auto") -> None:
        if scan.header.trajectory not in RADIAL:
            raise ScanError(
                f"The scan's trajectory is '{scan.header.trajectory or 'unknown'}'; this pipeline reconstructs "
                "golden-angle radial spokes."
            )
        self._scan = scan
        self._source = source
        self._described = False

    def of(self, readout: ismrmrd.Acquisition, index: int) -> NDArray[np.float32]:
        """The positions kx, ky (samples, 2) of a readout in cycles per field of view.

        Args:
            readout: the readout.
            index: its index in the train.

        Raises ScanError for impossible positions: k = 0 outside the readout, not finite, or of an unknown scale.

        """
        n_samples, header = readout.number_of_samples, self._scan.header
        if not 0 <= readout.center_sample < n_samples:
            raise ScanError(f"center_sample {readout.center_sample} lies outside the {n_samples} samples of a readout.")
        embedded = self._source == "auto" and readout.trajectory_dimensions in (2, 3)
        angle = float(readout.user_float[0]) if self._source == "angle" else float(golden_angles(index))
        computed = radial_spokes(angle, n_samples, float(readout.center_sample), header.oversampling)
        computed[:, 1] *= header.recon_fov_mm[1] / header.recon_fov_mm[0]  # cycles per field of view in y, not in x
        k = embedded_trajectory(readout.traj, header.recon_matrix[:2]) if embedded else computed
        single = k.astype(np.float32)
        if not np.isfinite(single).all():
            raise ScanError(f"The trajectory of spoke {index} holds values that are not finite.")
        if not self._described:
            self._describe(embedded, float(np.abs(k - computed).max()) * header.oversampling)
        return single

    def _describe(self, embedded: bool, difference_samples: float) -> None:
        self._described = True
        computed = {"angle": "angle in user_float[0]"}.get(self._source, "golden angle from the spoke's index")
        source = "embedded" if embedded else computed
        self._scan.provenance["trajectory"] = source
        self._scan.log.info("The trajectory is taken as %s.", source)
        if embedded and difference_samples > NOTABLE_SAMPLES:
            self._scan.log.warning(
                "The embedded trajectory differs from golden-angle spokes by up to %.1f samples; it is used as it is.",
                difference_samples,
            )


def embedded_trajectory(trajectory: NDArray[np.float32], recon_matrix: tuple[int, int]) -> NDArray[np.float64]:
    """Convert embedded coordinates (samples, 2 or 3) to (samples, 2) in cycles per field of view.

    Values up to 0.5 are in cycles per recon pixel. Values up to half the recon matrix (x, y) are in cycles per field of
    view. Slightly larger values are accepted, because of delays and asymmetric readouts. A third column is the density
    and is not used. Raises ScanError, with the largest value found, for all other values.
    """
    k = np.asarray(trajectory[:, :2], np.float64)
    extent = float(np.abs(k).max())
    if extent <= 0.55:
        return np.asarray(k * np.array(recon_matrix))
    edge = max(recon_matrix) / 2
    if edge / 2 <= extent <= 1.1 * edge:
        return k
    raise ScanError(
        f"The embedded trajectory reaches {extent:.4g}, which is neither cycles per pixel (0.5) nor cycles per field "
        f"of view ({edge:g})."
    )
