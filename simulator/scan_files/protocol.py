"""The protocol of a simulated scan, and its ISMRMRD header."""

from dataclasses import dataclass
from typing import Any

import ismrmrd.xsd as schema
import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.acquisition.sampling import Sampling, epi_readout, radial_readout, spiral_readout
from spokestream.simulator.physics.sequences.loading import preset_names
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["Protocol", "header_xml"]

FIELD_STRENGTH_T = 2.89
PROTON_FREQUENCY_HZ = 123_200_000
SPIRAL_ARMS = 48
"""Number of spiral arms that cover k-space without gaps, as in Fang et al. 2019. Arms of small matrices are longer."""


TRAJECTORY_TYPES = {
    "radial": schema.trajectoryType.GOLDENANGLE,
    "spiral": schema.trajectoryType.SPIRAL,
    "epi": schema.trajectoryType.EPI,
}
"""The name of the trajectory in the header, for every shape of a readout."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The settings of the scanner."""

    sequence: PulseSequence
    matrix: int
    """Pixels along y and x of the reconstructed image."""
    n_coils: int
    n_slices: int = 1
    oversampling: float = 2.0
    """Oversampling of the readout: samples per pixel, and encoded over reconstructed field of view."""
    dwell_us: float = 2.0
    """Time between samples."""
    trajectory: str = "embedded"
    """The trajectory in the file: `embedded` coordinates, the `angle` of each spoke, or `none`."""
    arms: str = "radial"
    """Shape of a readout: `radial` spokes, `spiral` arms from the centre outwards, or `epi`, a whole image."""
    center_shift: int = 0
    """Samples by which the echo is before the middle of a radial readout."""
    fov_mm: float = 350.0
    slice_mm: float = 8.0
    slice_spacing_mm: float = 20.0
    """Distance between the centres of two slices."""
    tilt_deg: tuple[float, float] = (0.0, 0.0)
    """Tilt of the slices about the patient's left-right axis, then about the tilted back-front axis."""
    name: str = "MRF, simulated"

    @property
    def samples_per_line(self) -> int:
        """The number of samples of a straight line through k-space."""
        return round(self.matrix * self.oversampling)

    @property
    def samples_per_pixel(self) -> float:
        """The oversampling with a whole number of samples, closest to `oversampling`."""
        return self.samples_per_line / self.matrix

    @property
    def n_samples(self) -> int:
        """The number of samples of one readout."""
        if self.arms == "epi":
            return self.matrix * self.samples_per_line
        if self.arms == "spiral":  # neighbouring arms are 1 cycle per field of view apart
            length = np.pi * (self.matrix / 2) ** 2 / SPIRAL_ARMS
            return max(self.samples_per_line, round(length * self.samples_per_pixel))
        return self.samples_per_line

    @property
    def center_sample(self) -> int:
        """The number of the sample at k = 0."""
        if self.arms == "epi":
            n, line = self.samples_per_line, self.matrix // 2
            return line * n + (n // 2 if line % 2 == 0 else n - 1 - n // 2)
        return 0 if self.arms == "spiral" else self.n_samples // 2 - self.center_shift

    def readout(self) -> Sampling:
        """The nominal sample positions."""
        n, oversampling = len(self.sequence), self.samples_per_pixel
        if self.arms == "epi":
            return epi_readout(n, self.samples_per_line, self.matrix, oversampling, self.dwell_us)
        if self.arms == "spiral":
            return spiral_readout(n, self.n_samples, self.matrix, oversampling, self.dwell_us)
        return radial_readout(n, self.n_samples, self.center_sample, oversampling, self.dwell_us)

    @property
    def directions(self) -> NDArray[np.float64]:
        """The directions of columns, rows and slices, one in each row, in patient coordinates (left, back, head).

        Without a tilt, columns point to the patient's left and rows to the back.
        """
        about_x, about_y = np.deg2rad(self.tilt_deg)
        first = np.array(
            [[1, 0, 0], [0, np.cos(about_x), np.sin(about_x)], [0, -np.sin(about_x), np.cos(about_x)]], float
        )
        second = np.array(
            [[np.cos(about_y), 0, -np.sin(about_y)], [0, 1, 0], [np.sin(about_y), 0, np.cos(about_y)]], float
        )
        return np.asarray(second @ first)

    def slice_offset_mm(self, index: int) -> float:
        """The distance of a slice from the isocentre, along the slice direction."""
        return (index - (self.n_slices - 1) / 2) * self.slice_spacing_mm


def header_xml(protocol: Protocol) -> str:
    """The ISMRMRD header of a scan: geometry, and the sequence with TE, TR and flip angle of every spoke.

    It names no version of the schema, because ISMRMRD's C++ library refuses every version except its own.
    """
    sequence = protocol.sequence
    header = schema.ismrmrdHeader(
        measurementInformation=schema.measurementInformationType(
            measurementID="simulated",
            patientPosition=schema.patientPositionType.HFS,
            protocolName=protocol.name,
        ),
        acquisitionSystemInformation=schema.acquisitionSystemInformationType(
            systemVendor="spokestream",
            systemModel="simulator",
            systemFieldStrength_T=FIELD_STRENGTH_T,
            relativeReceiverNoiseBandwidth=1.0,  # simulated noise is white, without a receive filter
            receiverChannels=protocol.n_coils,
        ),
        experimentalConditions=schema.experimentalConditionsType(H1resonanceFrequency_Hz=PROTON_FREQUENCY_HZ),
        encoding=[_encoding(protocol)],
        sequenceParameters=schema.sequenceParametersType(
            TR=sequence.tr_ms.tolist(),
            TE=sequence.te_ms.tolist(),
            TI=[sequence.ti_ms],
            flipAngle_deg=sequence.flip_angle_deg.tolist(),
        ),
        userParameters=_user_parameters(sequence),
    )
    return str(schema.ToXML(header))


def _encoding(protocol: Protocol) -> Any:
    def space(along_x: float, along_y: float) -> Any:
        """The space whose matrix and field of view are larger than those of the image by these factors."""
        x, y = (round(protocol.matrix * factor) for factor in (along_x, along_y))
        fov_x, fov_y = (protocol.fov_mm * factor for factor in (along_x, along_y))
        return schema.encodingSpaceType(
            matrixSize=schema.matrixSizeType(x=x, y=y, z=1),
            fieldOfView_mm=schema.fieldOfViewMm(x=fov_x, y=fov_y, z=protocol.slice_mm),
        )

    def limit(count: int, center: int = 0) -> Any:
        return schema.limitType(minimum=0, maximum=count - 1, center=center)

    return schema.encodingType(
        # spokes of all directions are oversampled, but the lines of an echo-planar image only along x
        encodedSpace=space(protocol.samples_per_pixel, 1 if protocol.arms == "epi" else protocol.samples_per_pixel),
        reconSpace=space(1, 1),
        encodingLimits=schema.encodingLimitsType(
            kspace_encoding_step_0=limit(protocol.n_samples, protocol.center_sample),
            kspace_encoding_step_1=limit(len(protocol.sequence)),
            slice=limit(protocol.n_slices),
        ),
        trajectory=TRAJECTORY_TYPES[protocol.arms],
    )


def _user_parameters(sequence: PulseSequence) -> Any:
    numbers = {
        "mrf_recovery_ms": sequence.recovery_ms,
        "mrf_repetitions": float(sequence.repetitions),
        "mrf_spokes_per_frame": float(sequence.spokes_per_frame),
    }
    # only the name of a preset is known to the receiver; other sequences are described by their trains
    words = {"mrf_sequence": sequence.name} if sequence.name in preset_names() else {}
    words |= {"mrf_spoiling": sequence.spoiling, "mrf_inversion": str(sequence.inversion).lower()}
    if np.any(sequence.rf_phase_deg):
        words["mrf_rf_phase_deg"] = " ".join(f"{phase:.9g}" for phase in sequence.rf_phase_deg)
    return schema.userParametersType(
        userParameterString=[schema.userParameterStringType(name=key, value=word) for key, word in words.items()],
        userParameterDouble=[schema.userParameterDoubleType(name=key, value=v) for key, v in numbers.items()],
    )
