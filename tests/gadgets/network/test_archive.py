import io
import json
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from small_scan import short_fisp
from toy_network import FIVE_MAPS, toy_contract, toy_module, write_toy_archive

from spokestream.errors import FileError
from spokestream.gadgets.network.archive import load_archive, save_archive
from spokestream.gadgets.network.contract import Output
from spokestream.gadgets.network.contract_json import contract_json, parse_contract
from spokestream.simulator.physics.quantities import Where


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_toy_archive(tmp_path_factory.mktemp("archive") / "toy.pt")


def changed(contract, *keys, value):
    """The JSON of a contract with one value replaced, or removed where `value` is None."""
    table = json.loads(contract_json(contract))
    inner = table
    for key in keys[:-1]:
        inner = inner[key]
    if value is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return json.dumps(table)


def with_contract(path, target, text):
    """The archive with another text for its contract."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            new.writestr(member, text if member.filename.endswith("contract.json") else old.read(member))
    return target


def test_a_contract_survives_the_archive_to_the_bit(path):
    written, read = toy_contract(), load_archive(path).contract
    assert np.array_equal(read.basis.weights, written.basis.weights)
    assert np.array_equal(read.basis.te_ms, written.basis.te_ms)
    assert read.sequence.difference(written.sequence, tolerance=0) is None
    for name in ("name", "outputs", "channels", "border", "step", "tile", "field_t", "training", "efficiency"):
        assert getattr(read, name) == getattr(written, name)


def test_the_efficiencies_and_the_demodulation_survive(tmp_path):
    path = write_toy_archive(
        tmp_path / "conditioned.pt", outputs=FIVE_MAPS, efficiency=(0.9, 1.0), demodulation_hz=-150.0
    )
    contract = load_archive(path).contract
    assert (contract.efficiency, contract.demodulation_hz) == ((0.9, 1.0), -150.0)
    given = json.loads(contract_json(contract))["input"]
    assert (given["inversion_efficiency"], given["demodulation_hz"]) == ([0.9, 1.0], -150.0)
    assert json.loads(contract_json(toy_contract()))["input"]["inversion_efficiency"] is None


def test_the_pixels_of_the_training_survive_and_may_be_unknown():
    assert parse_contract(contract_json(toy_contract(pixel_mm=(0.9, 1.1)))).pixel_mm == (0.9, 1.1)
    assert parse_contract(contract_json(toy_contract())).pixel_mm is None
    assert parse_contract(changed(toy_contract(), "input", "pixel_mm", value=None)).pixel_mm is None


def test_logarithmic_outputs_survive_in_a_format_of_their_own():
    contract = toy_contract(sequence=short_fisp())
    table = json.loads(contract_json(contract))
    assert table["format"] == 2  # readers of format 1 would take the outputs for linear
    assert table["outputs"][1] == {
        "map": "t2", "unit": "ms", "low": 5.0, "high": 2500.0, "std": False, "where": None, "logarithmic": True,
    }  # fmt: skip
    assert parse_contract(json.dumps(table)).outputs == contract.outputs
    assert json.loads(contract_json(toy_contract()))["format"] == 1


def test_a_network_for_iterative_images_has_a_format_of_its_own():
    contract = toy_contract(sequence=short_fisp(), images="iterative")
    table = json.loads(contract_json(contract))
    assert (table["format"], table["input"]["images"]) == (3, "iterative")  # earlier software would give it the adjoint
    assert parse_contract(json.dumps(table)).images == "iterative"
    of_adjoint = json.loads(contract_json(toy_contract(sequence=short_fisp())))
    assert "images" not in of_adjoint["input"]
    assert parse_contract(json.dumps(of_adjoint)).images == "adjoint"


def test_images_are_of_a_known_kind():
    with pytest.raises(FileError, match="the network's images are adjoint or iterative, not 'sharp'"):
        toy_contract(images="sharp")


def test_a_logarithmic_range_is_positive():
    table = json.loads(contract_json(toy_contract(sequence=short_fisp())))
    table["outputs"][0]["low"] = 0.0
    with pytest.raises(FileError, match="the logarithmic range of 't1' must be positive"):
        parse_contract(json.dumps(table))


def test_the_archive_has_the_layout_that_others_read(path):
    files = {"contract.json": ""}
    torch.jit.load(path, _extra_files=files)
    table = json.loads(files["contract.json"])
    assert set(table) == {
        "format", "name", "description", "input", "field_t", "tissue_model", "outputs", "sequence", "training",
        "metrics", "versions",
    }  # fmt: skip
    assert table["outputs"][1] == {
        "map": "t1h2o", "unit": "ms", "low": 0.0, "high": 2300.0, "std": False, "where": {"map": "ff", "below": 0.55},
    }  # fmt: skip
    assert np.shape(table["input"]["basis"]["weights"]) == (10, len(table["input"]["basis"]["te_ms"]))


def test_a_loaded_module_gives_the_same_result(path):
    archive = load_archive(path)
    patches = torch.linspace(-1, 1, archive.contract.channels * 99).reshape(1, -1, 11, 9)
    assert torch.equal(archive.module(patches), toy_module(toy_contract())(patches))


def test_loading_prints_nothing(path):
    program = f"""
import spokestream.gadgets.map_images
from pathlib import Path
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.network.archive import load_archive
TiledNetwork(load_archive(Path({str(path)!r})), "cpu", "float32")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")


def test_the_digest_names_the_file(path, tmp_path):
    other = write_toy_archive(tmp_path / "other.pt", tile=16)
    assert load_archive(path).digest == load_archive(path).digest != load_archive(other).digest


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (("format",), 4, "format 4"),
        (("name",), None, "lacks 'name'"),
        (("name",), 7, "'name' is not text"),
        (("name",), "ours/v2", "a network's name is of letters, digits"),
        (("input", "tile"), 0, "tile lies between 1 and 1024"),
        (("input", "tile"), True, "'tile' is not a whole number"),
        (("input", "channels"), 10**9, "channels lies between"),
        (("input", "border"), -1, "border lies between"),
        (("input", "step"), 5, "multiples of its step"),
        (("input", "basis", "weights"), [[1.0, 2.0], [3.0]], "a table of finite numbers"),
        (("input", "basis", "weights"), [[1.0, 2.0]], "one echo time and one positive noise"),
        (("input", "basis", "te_ms", 0), 4.63, "another echo time than its own"),
        (("input", "basis", "noise", 0), 0.0, "positive noise"),
        (("input", "basis", "spokes_per_frame"), 4, "of 4 spokes"),
        (("outputs",), [], "one at least"),
        (("outputs", 0, "map"), "t1h2o", "different maps|unit of"),
        (("outputs", 0, "map"), "age", "there is no map 'age'"),
        (("outputs", 1, "unit"), "s", "unit of 't1h2o' is ms"),
        (("outputs", 1, "low"), 2400.0, "must ascend"),
        (("outputs", 1, "high"), 10**400, "not a finite number"),
        (("outputs", 1, "where", "map"), "b1", "depends on 'b1'"),
        (("sequence", "te_ms", 3), "long", "a list of finite numbers"),
        (("sequence", "te_ms", 3), -1.0, "TE must be finite and positive"),
        (("sequence", "repetitions"), 2.5, "'repetitions' is not a whole number"),
        (("field_t",), 0.0, "field strength"),
        (("training",), [], "'training' is not a table"),
        (("input", "pixel_mm"), [1.1, 0.9], "pixels must ascend between 0 and 100 mm"),
        (("input", "pixel_mm"), [0.9], "a range from low to high"),
        (("input", "demodulation_hz"), None, "lacks 'demodulation_hz'"),
        (("input", "demodulation_hz"), 700.0, "within 600 Hz of water"),
        (("input", "inversion_efficiency"), True, "'inversion_efficiency' is not a list"),
        (("input", "inversion_efficiency"), [0.9], "a range from low to high"),
        (("input", "inversion_efficiency"), [1.0, 0.9], "ascending, not from 1 to 0.9"),
        (("input", "inversion_efficiency"), [0.3, 0.6], "within 0.7 and 1, ascending, not from 0.3 to 0.6"),
        (("input", "inversion_efficiency"), [0.9, 1.0], "must give ff, t1h2o, t1fat, deltaf, b1"),
    ],
)
def test_an_impossible_contract_is_refused_in_one_sentence(path, tmp_path, keys, value, sentence):
    broken = with_contract(path, tmp_path / "broken.pt", changed(toy_contract(), *keys, value=value))
    with pytest.raises(FileError, match=sentence) as error:
        load_archive(broken)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"format": NaN}', "\x00", "\ud800"])
def test_a_text_that_is_no_contract_is_refused(text):
    with pytest.raises(FileError, match="contract"):
        parse_contract(text)


def test_a_contract_cannot_be_written_that_could_not_be_read():
    with pytest.raises(FileError, match="depends on 'b1'"):
        toy_contract(outputs=(Output("ff", 0, 1, where=Where("b1", above=0.5)),))


def foreign_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("hello.txt", "hello")
    return buffer.getvalue()


@pytest.mark.parametrize("make", [lambda: b"", lambda: b"PK\x03\x04" + bytes(99), foreign_zip])
def test_a_foreign_or_hostile_file_is_refused_in_one_sentence(tmp_path, make):
    path = tmp_path / "foreign.pt"
    path.write_bytes(make())
    with pytest.raises(FileError, match="is no network archive of spokestream") as error:
        load_archive(path)
    assert "\n" not in str(error.value)


def test_a_file_that_unpacks_to_more_than_is_allowed_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("spokestream.gadgets.network.archive.LARGEST_FILE", 1 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("toy/extra/contract.json", bytes(2 << 20))
    with pytest.raises(FileError, match="unpacked it is larger than 1 MB"):
        load_archive(tmp_path / "bomb.pt")


def test_a_contract_that_cannot_be_unpacked_is_refused(tmp_path):
    path = tmp_path / "damaged.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("toy/extra/contract.json", contract_json(toy_contract()))
    data = bytearray(path.read_bytes())
    data[80:120] = bytes(40 * [255])
    path.write_bytes(data)
    with pytest.raises(FileError, match=r"is no network archive of spokestream \(Error -3 while decompressing"):
        load_archive(path)


def test_a_contract_that_is_shorter_than_stated_is_refused(tmp_path):
    path = tmp_path / "short.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr("toy/extra/contract.json", contract_json(toy_contract()))
    data = path.read_bytes()
    directory = data.index(b"PK\x01\x02")
    start = data.rindex(b"PK\x05\x06")
    end = data[start : start + 16] + struct.pack("<I", 100) + data[start + 20 :]
    path.write_bytes(data[:100] + data[directory:start] + end)
    with pytest.raises(FileError, match="is no network archive of spokestream"):
        load_archive(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileError, match="no network archive"):
        load_archive(tmp_path / "absent.pt")


def test_an_archive_cut_short_anywhere_is_refused(path, tmp_path):
    data = path.read_bytes()
    cut = tmp_path / "cut.pt"
    for fraction in (0.1, 0.5, 0.9, 0.999):
        cut.write_bytes(data[: int(fraction * len(data))])
        with pytest.raises(FileError, match="is no network archive"):
            load_archive(cut)


def test_a_damaged_program_is_refused(path, tmp_path):
    damaged = tmp_path / "damaged.pt"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(damaged, "w") as new:
        for member in old.infolist():
            new.writestr(member, b"def forward(" if "/code/" in member.filename else old.read(member))
    with pytest.raises(FileError, match="is no network archive"):
        load_archive(damaged)


class Careless(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Wrong(Careless):
    @torch.jit.export
    def normalise(self, coefficients: torch.Tensor, foreground: torch.Tensor, efficiency: float) -> torch.Tensor:
        return coefficients


class Stubborn(Wrong):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[0] == 0, "it takes nothing"
        return x


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (Careless, "no method 'normalise'"),
        (Wrong, "'forward' does not give"),
        (Stubborn, "does not run: .*it takes nothing"),
    ],
)
def test_a_module_that_does_not_keep_its_contract_is_not_written(tmp_path, module, sentence):
    with pytest.raises(FileError, match=sentence):
        save_archive(tmp_path / "wrong.pt", torch.jit.script(module().eval()), toy_contract())
    assert not (tmp_path / "wrong.pt").exists()


def test_a_contract_for_another_network_than_the_archives_is_refused(path, tmp_path):
    text = changed(toy_contract(), "input", "channels", value=4)
    with pytest.raises(FileError, match=r"does not run|does not give"):
        load_archive(with_contract(path, tmp_path / "other.pt", text))
