"""`spokestream dataset`, apart from the command line that it hangs on."""

import argparse
import re

import pytest
from small_scan import TRAIN

from spokestream.errors import FileError, InputError
from spokestream.models.datasets.shards import TrainingSet
from spokestream.pipelines.cli.commands.dataset import options, run


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "short.toml").write_text(TRAIN)

    def call(*arguments):
        parser = argparse.ArgumentParser()
        options(parser)
        given = [str(tmp_path / "set"), "--scheduler", "synchronous", "--sequence", str(tmp_path / "short.toml")]
        run(parser.parse_args([*given, "--matrix", "21", "--slices", "2", *arguments]))

    return call


def test_it_makes_a_set_goes_on_with_it_and_says_so_in_a_line(dataset, tmp_path, capsys):
    dataset("--subjects", "2", "--coils", "2,3", "--noise", "0,0")
    line = capsys.readouterr().out
    assert re.fullmatch(
        r"2 subjects, 4 slices, [\d.e-]+ GB in .*set; made 2 subjects in \d+ s, [\d.]+ s a slice\.\n", line
    )
    dataset("--subjects", "2", "--coils", "2,3", "--noise", "0,0")
    assert capsys.readouterr().out.endswith("made 0 subjects in 0 s.\n")
    assert len(TrainingSet(tmp_path / "set")) == 4
    with pytest.raises(FileError, match=r"made with other settings \(coils\)"):
        dataset("--subjects", "2", "--noise", "0,0")


def test_what_cannot_be_scanned_is_refused_before_anything_is_made(dataset, tmp_path):
    with pytest.raises(InputError, match="does not fit the echo times"):
        dataset("--matrix", "1024")
    assert not (tmp_path / "set").exists()
