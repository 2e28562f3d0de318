import numpy as np
import pytest
import torch


@pytest.fixture
def draw(rng):
    """Complex normal numbers in double precision, a tensor of any shape."""

    def numbers(*shape):
        return torch.from_numpy(rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)

    return numbers
