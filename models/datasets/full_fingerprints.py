"""Fingerprints from simulated k-space, reconstructed by the gadgets of the runtime."""

import numpy as np

from spokestream.gadgets.coil_compression import CoilCompression
from spokestream.gadgets.delay_correction import DelayCorrection
from spokestream.gadgets.gadget import Chain
from spokestream.gadgets.gridding import Gridding
from spokestream.gadgets.imaging.low_rank import EchoTime
from spokestream.gadgets.messages import NOWHERE, Fingerprints, SliceEnd, Spoke
from spokestream.gadgets.readouts.demodulation import demodulate
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.spoke_accumulation import SpokeAccumulation
from spokestream.models.datasets.whitened_exam import WhitenedExam
from spokestream.simulator.acquisition.scanner import acquire
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.scan_files.protocol import header_xml

__all__ = ["full_fingerprints"]


def full_fingerprints(
    exam: WhitenedExam,
    index: int,
    basis: TemporalBasis,
    *,
    virtual_coils: int,
    demodulation_hz: float,
    tolerance: float = 1e-3,
    correct_delays: bool = False,
    inversion: list[EchoTime] | None = None,
    for_maps: bool = False,
) -> Fingerprints:
    """The fingerprints of one slice; see `DelayCorrection` and `Gridding` for the last three arguments."""
    kspace = acquire(exam.phantoms[index], exam.coils, exam.sequence, exam.actual, exam.signal, threads=1)
    noise = exam.noise(index, len(kspace))
    protocol = exam.protocol
    scan = ScanContext(ScanHeader.from_xml(header_xml(protocol)), exam.sequence, threads=1)
    chain = Chain(
        [
            CoilCompression(scan, virtual_coils),
            SpokeAccumulation(scan),
            *([DelayCorrection(scan)] if correct_delays else []),
            Gridding(scan, basis, tolerance, inversion, for_maps=for_maps),
        ]
    )
    time_us = (1e3 * exam.nominal.time_ms).astype(np.float32)
    try:
        for spoke, k in enumerate(exam.nominal.k.astype(np.float32)):
            data = kspace[:, spoke] + noise.spokes(1)[:, 0]
            data = demodulate(data, demodulation_hz, protocol.dwell_us, protocol.center_sample)
            for _ in chain.feed(Spoke(data, k, spoke, index, NOWHERE, time_us=time_us)):
                raise AssertionError("Nothing leaves a chain before the slice ends.")
        (fingerprints,) = (m for m in chain.feed(SliceEnd(index, NOWHERE)) if isinstance(m, Fingerprints))
    finally:
        chain.close()
    return fingerprints
