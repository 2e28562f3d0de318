"""Validation: the error of what a slice shows, and nothing of what it does not."""

import pytest
import torch

from spokestream.errors import InputError
from spokestream.models.networks.layers import Network
from spokestream.models.training.training_settings import TrainingSettings
from spokestream.models.training.validation import validate
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT


class Answers(Network):
    """Gives what it is fed."""

    def __init__(self, n_maps):
        super().__init__(1, n_maps)
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return x


class Slices:
    """One slice of every subject."""

    recipe = {"slices": 1}  # noqa: RUF012
    tissue_model = WATER_FAT

    def __init__(self, *items):
        self.items, self.seeds = items, range(len(items))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def slice_(ff, t1h2o, foreground=(True, True, True)):
    """Three pixels."""
    return {
        "ff": torch.tensor([ff]), "t1h2o": torch.tensor([t1h2o]), "pd": torch.ones(1, 3),
        "foreground": torch.tensor([foreground]), "fingerprints": torch.zeros(1, 1, 3, dtype=torch.complex64),
        "inversion_efficiency": torch.tensor(0.95),
    }  # fmt: skip


def nrmse(*slices):
    """Of answers that are always 0.25 and 0.5: a fat fraction of 0.25 and a water T1 of 1,150 ms."""

    def normalise(coefficients, foreground, efficiency):
        return torch.tensor([0.25, 0.5])[:, None, None].expand(2, 1, 3)

    settings = TrainingSettings("cohen2018", maps="ff,t1h2o", precision="float32")
    return validate(Answers(2), normalise, Slices(*slices), settings)


def test_errors_are_relative_to_the_range_of_the_slice_s_map():
    errors = nrmse(slice_([0.05, 0.25, 0.45], [1150.0, 1150.0, 1380.0]))
    assert errors["ff"] == pytest.approx((2 * 0.2**2 / 3) ** 0.5 / 0.4)
    assert errors["t1h2o"] == pytest.approx((230**2 / 3) ** 0.5 / 230)


def test_a_slice_says_nothing_of_maps_that_it_does_not_show():
    whole = slice_([0.05, 0.25, 0.45], [1150.0, 1150.0, 1380.0])
    constant = slice_([0.2, 0.3, 0.4], [1000.0, 1000.0, 1000.0])
    fat = slice_([1.0, 0.99, 0.98], [1000.0, 1200.0, 1400.0])
    air = slice_([0.1, 0.2, 0.3], [1000.0, 1200.0, 1400.0], foreground=(False, False, False))
    assert nrmse(whole, air) == nrmse(whole)
    assert nrmse(whole, constant)["t1h2o"] == nrmse(whole, fat)["t1h2o"] == nrmse(whole)["t1h2o"]
    assert nrmse(whole, constant)["ff"] == pytest.approx((nrmse(whole)["ff"] + nrmse(constant)["ff"]) / 2)
    assert list(nrmse(constant)) == ["ff"]
    with pytest.raises(InputError, match="show none of ff, t1h2o"):
        nrmse(air)
