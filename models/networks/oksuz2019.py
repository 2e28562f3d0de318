"""A recurrent network along time; it sees single fingerprints.

Oksuz et al., "Magnetic resonance fingerprinting using recurrent neural networks", ISBI 2019: gated recurrent units,
and a fully connected layer on their states at all times. PyTorch has two biases for each gate, which makes 118,705
parameters at 175 frames and five maps; with one bias there would be 118,405.
"""

from torch import Tensor, nn

from spokestream.models.networks.layers import FingerprintNetwork

__all__ = ["Oksuz2019"]

HIDDEN = 100


class Oksuz2019(FingerprintNetwork):
    """(2 · images, h, w) to (maps, h, w)."""

    def __init__(self, n_images: int, n_maps: int) -> None:
        super().__init__(n_images, n_maps)
        self.gru = nn.GRU(2, HIDDEN, batch_first=True)
        self.last = nn.Linear(n_images * HIDDEN, n_maps)

    def maps(self, fingerprints: Tensor) -> Tensor:
        """Maps (pixels, outputs) of fingerprints (pixels, 2, images)."""
        states: Tensor = self.gru(fingerprints.transpose(1, 2))[0]
        states = self.last(states.flatten(1))
        return states
