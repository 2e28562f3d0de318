"""A short sequence and small slices, so that a whole exam takes a blink."""

import pytest
import torch

from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.making import make_training_set

TRAIN = """
ti_ms = 8.32
recovery_ms = 500.0
[[train]]
spokes = 96
flip_angle_deg = 6.0
te_ms = 2.39
tr_ms = 3.52
[[train]]
spokes = 40
flip_angle_deg = 12.0
te_ms = 3.45
tr_ms = 4.58
[[train]]
spokes = 44
flip_angle_deg = 15.0
te_ms = 2.39
tr_ms = 8.52
"""


@pytest.fixture(scope="session")
def sequence_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("sequence") / "short.toml"
    file.write_text(TRAIN)
    return str(file)


@pytest.fixture(scope="session")
def settings(sequence_file):
    return DataSettings(subjects=3, slices=2, matrix=35, coils=(3, 5), virtual_coils=4, sequence=sequence_file)


@pytest.fixture(scope="session")
def training_set(tmp_path_factory):
    """Folder of a set with four subjects, numbers 0 to 3, two slices each, of ninety frames."""
    folder = tmp_path_factory.mktemp("training")
    sequence = folder / "short.toml"
    sequence.write_text(TRAIN.replace("ti_ms", "spokes_per_frame = 2\nti_ms", 1))
    settings = DataSettings(
        subjects=4, slices=2, matrix=33, coils=(4, 5), virtual_coils=4, delays=0, noise=(0, 0), sequence=str(sequence)
    )
    make_training_set(folder / "set", settings, "synchronous")
    return folder / "set"


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
