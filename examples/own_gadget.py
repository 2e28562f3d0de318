"""A gadget of your own.

A gadget is one step of the stream. This one counts the spokes whose strongest sample lies far from k = 0, and gets a
pipeline of its own.
"""

# %%
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import spokestream
from spokestream.gadgets.gadget import Chain, Gadget
from spokestream.gadgets.messages import Spoke
from spokestream.gadgets.readout import Readout
from spokestream.gadgets.scan.context import ScanContext
from spokestream.pipelines.chains import mrf_t1ff, pipeline
from spokestream.pipelines.settings import T1FFSettings

# %% [markdown]
# The mathematics is a plain function, which can be tested without a scan.


# %%
def peaks_outside(data: NDArray[np.complex64], k: NDArray[np.float32]) -> bool:
    """Whether the strongest sample of a spoke lies in the outer half of k-space, where tissue has little signal.

    Args:
        data: (coils, samples).
        k: (samples, 2) in cycles per field of view.

    """
    radius = np.hypot(k[:, 0], k[:, 1])
    strongest = np.abs(data).max(axis=0).argmax()
    return bool(radius[strongest] > radius.max() / 2)


# %% [markdown]
# The gadget takes the messages of the types in `accepts`; all others are passed on unchanged.


# %%
class OutsideCount(Gadget[Spoke, Spoke]):
    """Passes spokes on, and counts those that peak outside in the scan's record of irregularities."""

    accepts = (Spoke,)

    def __init__(self, scan: ScanContext) -> None:
        self._scan = scan

    def feed(self, message: Spoke, /) -> Iterator[Spoke]:
        """Look at one spoke."""
        if peaks_outside(message.data, message.k):
            self._scan.integrity.note(message.slice, "peaks_outside", f"spoke {message.index} peaks outside")
        yield message


# %% [markdown]
# A pipeline is a function that builds the chain of a scan. This one inserts the gadget behind the readout.


# %%
@pipeline("with_outside_count", T1FFSettings)
def with_outside_count(scan: ScanContext, settings: T1FFSettings) -> Chain:
    """The pipeline `mrf_t1ff` with the gadget behind the readout."""
    gadgets = list(mrf_t1ff(scan, settings).gadgets)
    behind = next(i for i, gadget in enumerate(gadgets) if isinstance(gadget, Readout)) + 1
    return Chain([*gadgets[:behind], OutsideCount(scan), *gadgets[behind:]])


# %% [markdown]
# A scan in which about 2 % of the 1,400 spokes have a spike, each at a random sample; half of the samples lie in the
# outer half of k-space. The node's own gadget `SpokeQuality` does more: it compares every sample with those of other
# spokes.

# %%
scan = spokestream.simulate("spikes.h5", matrix=48, coils=3, noise=0.0, corrupted=0.02)
maps = spokestream.reconstruct(scan, "with_outside_count")
print(f"{maps.integrity[0]['peaks_outside']} spokes peak in the outer half of k-space.")
