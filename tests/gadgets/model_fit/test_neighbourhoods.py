"""Means and variances over squares of pixels, against sums over the pixels one by one."""

import numpy as np
import pytest
import torch

from spokestream.gadgets.model_fit.neighbourhoods import NEIGHBOURHOOD, neighbourhood_mean, neighbourhood_variance


def one_by_one(image, mask, side, statistic):
    """A statistic (voxels,) of the pixels of the mask in the square around each of them."""
    half = side // 2
    out = []
    for y, x in np.argwhere(mask):
        part = slice(max(y - half, 0), y + half + 1), slice(max(x - half, 0), x + half + 1)
        out.append(statistic(image[part][mask[part]]))
    return np.array(out)


@pytest.mark.parametrize("side", [3, NEIGHBOURHOOD])
def test_only_voxels_of_the_mask_count(rng, side):
    mask = rng.random((31, 23)) < 0.6
    image = rng.standard_normal(mask.shape) + 3
    values = torch.from_numpy(image[mask][:, None])
    means = neighbourhood_mean(image[mask], mask, side)
    variances = neighbourhood_variance(values, mask, side)[:, 0].numpy()
    np.testing.assert_allclose(means, one_by_one(image, mask, side, np.mean), rtol=1e-12)
    # float32 rounds the variances at last
    np.testing.assert_allclose(variances, one_by_one(image, mask, side, np.var), rtol=1e-6, atol=1e-12)
