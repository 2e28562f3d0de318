"""Parts of the study of Balsiger 2020: the importance of frames, and what is trained."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toy_network import toy_contract

from spokestream.gadgets.network.archive import save_archive
from spokestream.gadgets.network.contract import Output
from spokestream.gadgets.network.network_input import interleaved
from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.making import make_training_set
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.training.inputs.targets import targets
from spokestream.pipelines.studies.balsiger2020 import STUDY
from spokestream.pipelines.studies.balsiger2020.frames import importance, parts_of_train
from spokestream.pipelines.studies.balsiger2020.sizes import designs, trainings
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

FRAME = 3


class OneFrame(nn.Module):
    """The fat fraction is the real part of one frame, on a scale between 0 and 1."""

    @torch.jit.export
    def normalise(self, coefficients: Tensor, foreground: Tensor, efficiency: float) -> Tensor:
        return torch.sigmoid(coefficients / coefficients[:, foreground].square().mean().sqrt())

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 6:7]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "set"
    settings = DataSettings(subjects=1, slices=1, matrix=48, coils=(4, 4), virtual_coils=4, delays=0)
    make_training_set(folder, settings, "synchronous")
    return TrainingSet(folder)


def test_only_a_frame_that_the_network_uses_matters(data, tmp_path):
    archive = tmp_path / "one.pt"
    contract = toy_contract(
        sequence=data.sequence, basis=data.basis, channels=2 * len(data.basis.te_ms), border=0,
        outputs=(Output("ff", 0.0, 1.0),),
    )  # fmt: skip
    save_archive(archive, torch.jit.script(OneFrame().eval()), contract)
    found = importance(archive, data, range(6), seed=0)
    (whole,), permuted = found["whole"]["ff"], found["permuted"]["ff"]
    assert [frame for frame in range(6) if permuted[frame] != whole] == [FRAME]

    item = data[0]
    foreground = item["foreground"]
    x = OneFrame().normalise(interleaved(item["fingerprints"]), foreground, 1.0)[2 * FRAME]
    value, weight = (of[0] for of in targets(item, WATER_FAT, WATER_FAT.parameters[:1]))
    true = value[weight > 0]
    assert whole == pytest.approx(float((x[weight > 0] - true).square().mean().sqrt() / (true.max() - true.min())))
    # a permuted voxel gets the value of any voxel of the foreground; the mean over voxels varies by about 1 / sqrt(n)
    pairs = (x[foreground][:, None] - true).square().mean().sqrt() / (true.max() - true.min())
    assert permuted[FRAME] == pytest.approx(float(pairs), rel=2 / len(true) ** 0.5)


def test_the_train_has_the_five_parts_of_the_paper():
    assert parts_of_train(load_sequence("t1ff-2d-1400")) == [0, 75, 100, 125, 150, 175]


def test_designs_are_those_that_algorithm_1_can_build():
    built = designs(STUDY.scales["paper"])
    largest = {field for field, parameters in built if parameters == 5_000_000}
    assert largest == {1, 3, 5, 7, 9, 11, 13, 15, 17, 19}  # 21 takes 5.72 million at least
    assert {parameters for field, parameters in built if field == 15} == {3_000_000, 4_000_000, 5_000_000}
    assert built[15, 5_000_000] == "balsiger2020-matching"


def test_short_trainings_have_equally_many_steps_whatever_the_number_of_subjects():
    sizes = STUDY.scales["small"]
    for name, settings in trainings(sizes, seed=0).items():
        batches = (settings.subjects or sizes.subjects) * sizes.slices * settings.per_slice // settings.batch
        assert settings.epochs * batches == pytest.approx(sizes.steps, rel=0.05), name


def test_the_long_trainings_are_those_of_the_paper():
    of = trainings(STUDY.scales["paper"], seed=0)
    assert len(of) == 5 * 2 + len(designs(STUDY.scales["paper"])) - 1 + 7 * 5
    assert {settings.epochs for settings in of.values()} == {None}
    assert {settings.targets for name, settings in of.items() if not name.endswith("-truth")} == {"matching"}
    assert np.unique([of[f"subjects-40-{draw}"].draw for draw in range(5)]).tolist() == [0, 1, 2, 3, 4]
