import numpy as np

from spokestream.pipelines.files.validity import shown_foreground, valid_voxels


def test_a_map_is_valid_in_tissue_where_its_rule_holds_and_the_chain_gave_a_value():
    ff = [[[0, 0.2, 0.5, 0.9, 0, 0.5]]]
    maps = {
        "ff": ff, "t1h2o": [[[0, 900, 900, 900, 900, 0]]], "t1fat": [[[0, 300, 300, 300, 0, 300]]],
        "t1fat_std": [[[0, 9, 9, 9, 9, 9]]], "deltaf": [[[0, 0, 5, 0, 0, 0]]],
    }  # fmt: skip
    maps = {name: np.array(values, np.float32) for name, values in maps.items()}
    assert shown_foreground(maps)[0, 0].tolist() == [False, True, True, True, True, True]
    valid = {name: mask[0, 0].astype(int).tolist() for name, mask in valid_voxels(maps).items()}
    assert valid["ff"] == [0, 1, 1, 1, 1, 1]  # also where it is 0
    assert valid["deltaf"] == [0, 1, 1, 1, 1, 1]
    assert valid["t1h2o"] == [0, 1, 1, 0, 1, 0]
    assert valid["t1fat"] == [0, 0, 1, 1, 0, 1]
    assert valid["t1fat_std"] == [0, 0, 1, 1, 0, 1]


def test_without_the_map_of_the_rule_all_values_are_valid():
    maps = {"t1h2o": np.array([[[0, 900]]], np.float32)}
    assert valid_voxels(maps)["t1h2o"].tolist() == [[[False, True]]]
