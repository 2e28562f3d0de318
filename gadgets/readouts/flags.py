"""Flags of readouts: they separate the spokes of the image from noise, navigators and feedback."""

import ismrmrd

__all__ = ["is_imaging"]

NOT_IMAGING = sum(
    1 << (flag - 1)
    for flag in (
        ismrmrd.ACQ_IS_NOISE_MEASUREMENT,
        ismrmrd.ACQ_IS_PARALLEL_CALIBRATION,
        ismrmrd.ACQ_IS_NAVIGATION_DATA,
        ismrmrd.ACQ_IS_PHASECORR_DATA,
        ismrmrd.ACQ_IS_HPFEEDBACK_DATA,
        ismrmrd.ACQ_IS_DUMMYSCAN_DATA,
        ismrmrd.ACQ_IS_RTFEEDBACK_DATA,
        ismrmrd.ACQ_IS_SURFACECOILCORRECTIONSCAN_DATA,
        ismrmrd.ACQ_IS_PHASE_STABILIZATION_REFERENCE,
        ismrmrd.ACQ_IS_PHASE_STABILIZATION,
    )
)


def is_imaging(readout: ismrmrd.Acquisition) -> bool:
    """Whether the readout is a spoke of the image: no flag marks it as anything else."""
    return not readout.flags & NOT_IMAGING
