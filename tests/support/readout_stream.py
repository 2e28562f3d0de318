"""Streams of radial readouts, and what `Readout` makes of them."""

import ismrmrd
import numpy as np
from small_scan import complex_normal

from spokestream.gadgets.messages import SliceEnd, Spoke
from spokestream.gadgets.readout import Readout
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes


def readouts(rng, n=80, samples=38, center=17, spacing=None, scale=1.0, dc=0.0):
    """Golden-angle readouts of noise; with a spacing in cycles per field of view, their trajectory is embedded.

    `dc` is added to the sample at k = 0, `scale` multiplies the embedded coordinates.
    """
    out = []
    for i in range(n):
        data = complex_normal(rng, 3, samples)
        data[:, center] += dc
        k = None if spacing is None else scale * radial_spokes(golden_angles(i), samples, center, 1 / spacing)
        out.append(readout(data, i, center, k))
    return out


def readout(data, index, center, k=None, **head):
    """One readout with an orientation."""
    out = ismrmrd.Acquisition.from_array(data, None if k is None else np.asarray(k, np.float32), **head)
    out.center_sample, out.scan_counter, out.idx.kspace_encode_step_1 = center, index, index
    out.read_dir[:], out.phase_dir[:], out.slice_dir[:] = np.eye(3)
    return out


def run(scan, stream, **settings):
    """The spokes and the ends of slices."""
    gadget = Readout(scan, **settings)
    messages = [m for r in stream for m in gadget.feed(r)]
    messages += gadget.finish()
    return [m for m in messages if isinstance(m, Spoke)], [m for m in messages if isinstance(m, SliceEnd)]
