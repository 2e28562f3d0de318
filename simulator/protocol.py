"""The protocol of a simulated scan, and the ISMRMRD header that tells the reconstruction about it."""

from dataclasses import dataclass
from typing import Any

import ismrmrd.xsd as schema

from simulator.sequence import Sequence, preset_names

__all__ = ["Protocol", "header_xml"]

FIELD_STRENGTH_T = 2.89
PROTON_FREQUENCY_HZ = 123_200_000


@dataclass(frozen=True)
class Protocol:
    """What the scanner is set to."""

    sequence: Sequence
    matrix: int
    """Pixels along y and x of the reconstructed image."""
    n_coils: int
    n_slices: int = 1
    oversampling: int = 2
    """Of the readout: samples per pixel, and encoded over reconstructed field of view."""
    dwell_us: float = 2.0
    """Time between samples."""
    trajectory: str = "embedded"
    """How an acquisition says where it samples: `embedded` coordinates, its `angle`, or not at all (`none`)."""
    fov_mm: float = 350.0
    slice_mm: float = 8.0
    slice_spacing_mm: float = 20.0
    """From centre to centre."""

    @property
    def n_samples(self) -> int:
        """Samples of one spoke."""
        return self.matrix * self.oversampling

    @property
    def center_sample(self) -> int:
        """The sample at k = 0."""
        return self.n_samples // 2

    def slice_offset_mm(self, index: int) -> float:
        """Distance of a slice from the isocentre, towards the head."""
        return (index - (self.n_slices - 1) / 2) * self.slice_spacing_mm


def header_xml(protocol: Protocol) -> str:
    """The scan's ISMRMRD header: geometry, and the sequence with TE, TR and flip angle of every spoke."""
    sequence = protocol.sequence
    header = schema.ismrmrdHeader(
        version=2,
        measurementInformation=schema.measurementInformationType(
            measurementID="simulated",
            patientPosition=schema.patientPositionType.HFS,
            protocolName="MRF T1-FF, simulated thigh",
        ),
        acquisitionSystemInformation=schema.acquisitionSystemInformationType(
            systemVendor="spokestream",
            systemModel="simulator",
            systemFieldStrength_T=FIELD_STRENGTH_T,
            relativeReceiverNoiseBandwidth=1.0,  # simulated noise is white: no receive filter took part of it
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
    def space(matrix: int, fov_mm: float) -> Any:
        return schema.encodingSpaceType(
            matrixSize=schema.matrixSizeType(x=matrix, y=matrix, z=1),
            fieldOfView_mm=schema.fieldOfViewMm(x=fov_mm, y=fov_mm, z=protocol.slice_mm),
        )

    def limit(count: int, center: int = 0) -> Any:
        return schema.limitType(minimum=0, maximum=count - 1, center=center)

    return schema.encodingType(
        # a spoke is oversampled whichever way it points
        encodedSpace=space(protocol.matrix * protocol.oversampling, protocol.fov_mm * protocol.oversampling),
        reconSpace=space(protocol.matrix, protocol.fov_mm),
        encodingLimits=schema.encodingLimitsType(
            kspace_encoding_step_0=limit(protocol.n_samples, protocol.center_sample),
            kspace_encoding_step_1=limit(len(protocol.sequence)),
            slice=limit(protocol.n_slices),
        ),
        trajectory=schema.trajectoryType.GOLDENANGLE,
    )


def _user_parameters(sequence: Sequence) -> Any:
    numbers = {"mrf_recovery_ms": sequence.recovery_ms, "mrf_repetitions": float(sequence.repetitions)}
    # only a preset's name means something to others; any other sequence is told by its trains
    names = [sequence.name] if sequence.name in preset_names() else []
    return schema.userParametersType(
        userParameterString=[schema.userParameterStringType(name="mrf_sequence", value=name) for name in names],
        userParameterDouble=[schema.userParameterDoubleType(name=key, value=v) for key, v in numbers.items()],
    )
