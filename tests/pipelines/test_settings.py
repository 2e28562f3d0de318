"""A site's file of settings."""

from pathlib import Path

import pytest

from spokestream.errors import FileError
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.pipelines.settings import SETTINGS, read_site_file
from spokestream.settings import declarations


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "site.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
        return read_site_file(tmp_path / "site.toml", ServerSettings, *SETTINGS.values())

    return read


def test_values_have_the_types_of_the_settings(read):
    values = read('port = 1\ngrace_s = 5\nrecord = "kept"\nsequence = "mine.toml"\ndemodulation_hz = -10\n')
    assert values == {
        "port": 1, "grace_s": 5.0, "record": Path("kept"), "sequence": "mine.toml", "demodulation_hz": -10.0,
    }  # fmt: skip
    assert [type(value) for value in values.values()] == [int, float, type(Path()), str, float]
    assert read("") == {}


def test_every_setting_of_the_node_can_be_set(read):
    for kind in (ServerSettings, *SETTINGS.values()):
        for name, declared in declarations(kind).items():
            value = declared.choices[-1] if declared.choices else declared.default
            value = "given" if value is None else value
            text = repr(value) if isinstance(value, int | float) else f'"{value}"'
            assert str(read(f"{name} = {text}")[name]) == str(value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("port = ", "is not a TOML file"),
        ("\udcff = 1", "is not a TOML file"),
        (
            "ports = 1",
            "there is no setting 'ports'; known are host, port, role, pipeline, .*, record, .*, virtual_coils, ",
        ),
        ("max-sessions = 1", "there is no setting 'max-sessions'"),
        ("[mrf_t1ff]\nvirtual_coils = 4", "there is no setting 'mrf_t1ff'"),
        ("port = 65536", "port must be a whole number from 0 to 65535, not 65536"),
        ("port = true", "port must be a whole number from 0 to 65535, not True"),
        ('port = "x"', "port must be a whole number from 0 to 65535, not 'x'"),
        ("grace_s = nan", "grace_s must be a number from 0 to 86400 s, not nan"),
        ("host = 127", "host must be a text, not 127"),
        ("record = 1", "record must be a path, not 1"),
        ('datatype = "int8"', "datatype must be one of uint16, int16, float32, not 'int8'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_name_of_the_file(read, text, sentence):
    with pytest.raises(FileError, match=rf"site\.toml:? .*{sentence}") as refusal:
        read(text)
    assert "\n" not in str(refusal.value)
