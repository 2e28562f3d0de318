"""A pipeline by network makes the images that its network was trained on."""

import logging

import numpy as np
import pytest
from small_scan import gradient_spoiled
from toy_network import write_toy_archive

from spokestream.errors import InputError
from spokestream.gadgets.imaging.low_rank import echo_times_of
from spokestream.gadgets.network.archive import load_archive
from spokestream.gadgets.network_inference import NetworkInference
from spokestream.models.datasets.full_fingerprints import full_fingerprints
from spokestream.models.datasets.whitened_exam import WhitenedExam
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import select, start_scan
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

PIPELINE = "mrf_t1t2_net"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scan of a brain without noise, and a network for images of either kind."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "fisp.toml").write_text(gradient_spoiled(150))
    simulate_scan(folder / "brain.h5", settings_of(folder))
    sequence = load_sequence(str(folder / "fisp.toml"))
    for images in ("adjoint", "iterative"):
        write_toy_archive(folder / f"{images}.pt", sequence=sequence, name=images, images=images, demodulation_hz=0.0)
    return folder


def settings_of(folder):
    return SimulationSettings(
        anatomy="brain", matrix=48, coils=1, noise=0.0, sequence=str(folder / "fisp.toml"), inversion_efficiency=0.95
    )


def chain_of(folder, archive, **parameters):
    selection = select(PIPELINE).with_parameters({"archive": folder / f"{archive}.pt", **parameters}, trusted=True)
    scan = read_scan(folder / "brain.h5")
    return start_scan(selection, scan.xml, logging.getLogger("test")), scan


def difference(found, wanted):
    """The relative difference of images (K, y, x); the phase and scale of a coil are arbitrary."""
    factor = np.vdot(wanted, found) / np.vdot(wanted, wanted)
    return np.linalg.norm(found - factor * wanted) / np.linalg.norm(found)


@pytest.mark.parametrize("images", ["adjoint", "iterative"])
def test_the_network_sees_the_images_of_its_training_set(folder, images, monkeypatch):
    seen = []
    feed = NetworkInference.feed

    def recorded(gadget, message):
        seen.append(message)
        return feed(gadget, message)

    monkeypatch.setattr(NetworkInference, "feed", recorded)
    list(run_chain(*chain_of(folder, images, delays="off")))
    exam, contract = WhitenedExam(settings_of(folder)), load_archive(folder / f"{images}.pt").contract
    atoms = RELAXATION.dictionary(exam.sequence).atoms
    echo_times = echo_times_of(RELAXATION, exam.sequence, contract.basis, atoms) if images == "iterative" else None
    trained = full_fingerprints(exam, 0, contract.basis, virtual_coils=8, demodulation_hz=0.0, inversion=echo_times)
    (message,) = seen
    assert difference(message.data, trained.data) < 1e-5
    np.testing.assert_array_equal(message.foreground, trained.foreground)


def test_the_metadata_say_which_images_they_are(folder):
    for images in ("adjoint", "iterative"):
        written, *_ = run_chain(*chain_of(folder, images))
        assert written.meta["spokestream_images"] == images


@pytest.mark.parametrize(("trained", "asked"), [("adjoint", "iterative"), ("iterative", "adjoint")])
def test_other_images_than_those_of_the_training_are_refused(folder, trained, asked):
    with pytest.raises(
        InputError, match=rf"'{trained}' was trained on {trained} images, not on {asked} ones; leave out the setting"
    ):
        chain_of(folder, trained, images=asked)
    chain_of(folder, trained, images=trained)
