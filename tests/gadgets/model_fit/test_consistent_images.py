"""Consistent images, against what they are by definition: x + b - A x, with A as sums over all pixels and samples."""

import numpy as np
import pytest
import torch
from exact_samples import SHAPE, ExactSamples
from scipy.special import jv

from spokestream.gadgets.imaging.readout_phase import ORDER
from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.gadgets.model_fit.consistent_images import consistent_images
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

RECEIVER_HZ = 200.0
FEWER = (0, 1, 3, 4, 5, 6, 8, 9)


def tissue_maps(rng, tissue):
    """Random maps of all parameters; some voxels are pure water or fat."""
    low = {"ff": 0.0, "t1h2o": 700.0, "t1fat": 250.0, "deltaf": -80.0, "b1": 0.5}
    high = {"ff": 1.0, "t1h2o": 1800.0, "t1fat": 420.0, "deltaf": 80.0, "b1": 1.0}
    maps = {name: np.where(tissue, rng.uniform(low[name], high[name], SHAPE), 0).astype(np.float32) for name in low}
    maps["ff"][3], maps["t1fat"][3] = 0, 0
    maps["ff"][5], maps["t1h2o"][5] = tissue[5], 0
    return maps


def columns(maps, tissue):
    usual = {parameter.name: parameter.usual for parameter in WATER_FAT.parameters}
    values = (np.where(maps[n][tissue] > 0, maps[n][tissue], u) if (u := usual[n]) else maps[n][tissue] for n in maps)
    return [torch.from_numpy(v.astype(np.float32)) for v in values]


def lines_of(closed_form, basis, maps, tissue, rho, efficiency):
    """The lines of a signal of this density (voxels,): Hz below the receiver, and coefficients (K, voxels)."""
    lines = closed_form.through(basis).lines(*columns(maps, tissue), efficiency=efficiency)
    return [(hz.numpy() - RECEIVER_HZ, (rho[:, None] * basis.noise * c.numpy()).T) for hz, c in lines]


@pytest.mark.parametrize("frames", [range(10), FEWER], ids=["all frames", "two are missing"])
def test_they_are_the_signal_of_the_maps_and_what_the_samples_have_beyond_it(rng, frames):
    scan, efficiency = ExactSamples(rng, dwell_us=20.0, frames=frames), 0.9
    tissue, n = scan.tissue, int(scan.tissue.sum())
    closed_form = WATER_FAT.closed_form(scan.sequence, scan.basis)
    rho = rng.uniform(0.5, 1, n) * np.exp(2j * np.pi * rng.uniform(size=n))
    true, first = tissue_maps(rng, tissue), tissue_maps(rng, tissue)
    measured = scan.adjoint(lines_of(closed_form, scan.basis, true, tissue, rho, efficiency)).astype(np.complex64)
    basis = scan.basis.without(sorted(set(range(10)) - set(frames)))
    data = np.zeros((len(measured), *SHAPE), np.complex64)
    data[:, tissue] = measured
    fingerprints = Fingerprints(data, basis, tissue, 0, NOWHERE, operator=scan.operator())

    # the proton density with which the first maps explain most of the images
    mask = tissue & (np.arange(SHAPE[0])[:, None] != 6)
    signal = closed_form.through(basis).at(*columns(first, tissue), efficiency=efficiency)[0].numpy()
    fitted = (signal.conj() * (measured.T / basis.noise)).sum(1) / (np.abs(signal) ** 2).sum(1)
    lines = lines_of(closed_form, scan.basis, first, tissue, fitted * mask[tissue], efficiency)
    # the signal of frames that were not measured is not added: it would be taken for a measurement
    explained = lines_of(closed_form, basis, first, tissue, fitted * mask[tissue], efficiency)
    expected = sum(c for _, c in explained) + measured - scan.adjoint(lines)

    found = consistent_images(fingerprints, first, mask, closed_form, efficiency, RECEIVER_HZ, threads=2)
    assert not found[:, ~mask].any()
    turned = 2 * np.pi * max(np.abs(hz).max() for hz, _ in lines) * fingerprints.operator.half_readout_s
    left_out = 2 * sum(jv(m, turned) for m in range(ORDER + 1, 9))
    found, expected = found[:, mask], expected[:, mask[tissue]]
    assert np.linalg.norm(found - expected) < left_out * np.linalg.norm(expected)
    again = consistent_images(fingerprints, first, mask, closed_form, efficiency, RECEIVER_HZ, threads=1)
    np.testing.assert_array_equal(again[:, mask], found)


def test_lines_add_up_to_the_signal(rng):
    scan = ExactSamples(rng, dwell_us=0.0)
    closed_form = WATER_FAT.closed_form(scan.sequence, scan.basis)
    values = columns(tissue_maps(rng, scan.tissue), scan.tissue)
    lines = closed_form.lines(*values, efficiency=0.8)
    signal, _ = closed_form.at(*values, efficiency=0.8)
    assert torch.allclose(sum(c for _, c in lines), signal, atol=1e-5 * float(signal.abs().max()))
    spectrum = closed_form.spectrum
    np.testing.assert_allclose(
        [float((hz - values[3]).mean()) for hz, _ in lines], [0, *spectrum.frequency_hz], atol=1e-3
    )
    # a peak has its amplitude and its phase at every echo time: between two of them it turns by its frequency
    fat = [torch.ones(1), *(v[:1] for v in values[1:3]), torch.zeros(1), values[4][:1]]
    for (_, c), hz in zip(closed_form.lines(*fat)[1:], spectrum.frequency_hz, strict=True):
        whole = closed_form.at(*fat)[0][0].numpy() / spectrum.phasor(scan.basis.te_ms)
        turned = (c[0].numpy() / whole) * np.exp(2e-3j * np.pi * hz * scan.basis.te_ms)
        np.testing.assert_allclose(turned.imag, 0, atol=1e-4)
        assert np.ptp(turned.real) < 1e-4
