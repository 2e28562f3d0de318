"""Steps of a study run once; its report shows their numbers beside those of the paper."""

from dataclasses import dataclass

import pytest
from matplotlib.figure import Figure

from spokestream.errors import FileError, InputError
from spokestream.pipelines.studies.report import markdown, write_study
from spokestream.pipelines.studies.running import run_study, stored_results
from spokestream.pipelines.studies.study import Claim, Report, Step, Study, Table


@dataclass(frozen=True)
class Sizes:
    voxels: int


def toy(calls, broken=False):
    def second(folder):
        calls.append("second")
        if broken:
            raise InputError("interrupted")
        return {"error": float((folder / "kept").read_text()) / 2}

    def steps(sizes, seed, threads):
        def first(folder):
            calls.append("first")
            (folder / "kept").write_text(str(sizes.voxels))
            return {"voxels": sizes.voxels}

        return [Step("first", first), Step("second", second)]

    def report(sizes, results):
        error = results["second"]["error"]
        tables = [Table("Errors", ("", "T1", "paper"), [("ours", f"{error:.1f}", "9.3")])]
        return Report(tables, [Claim("Smaller than in the paper.", error < 9.3, f"{error:.1f}")], {"A plot": Figure()})

    scales = {"paper": Sizes(1000), "small": Sizes(10), "smoke": Sizes(2)}
    return Study("toy", "Nobody, Nowhere 2020;1:1", "A toy.", scales, steps, report)


def test_an_interrupted_study_goes_on_with_the_step_that_has_no_numbers(tmp_path):
    calls = []
    with pytest.raises(InputError, match="interrupted"):
        run_study(toy(calls, broken=True), "small", tmp_path)
    found = run_study(toy(calls), "small", tmp_path)
    assert calls == ["first", "second", "second"]
    assert found["results"] == {"first": {"voxels": 10}, "second": {"error": 5.0}}
    assert found["sizes"] == {"voxels": 10}
    assert stored_results(tmp_path / "study.json")[1] == found["results"]


def test_a_folder_holds_one_run(tmp_path):
    run_study(toy([]), "small", tmp_path)
    for others in ({"scale": "smoke"}, {"scale": "small", "seed": 1}):
        with pytest.raises(FileError, match="holds another run"):
            run_study(toy([]), folder=tmp_path, **others)


def test_an_unknown_scale_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no scale 'huge'; there are paper, small, smoke"):
        run_study(toy([]), "huge", tmp_path)


def test_the_report_shows_numbers_claims_and_command(tmp_path):
    study = toy([])
    found = run_study(study, "small", tmp_path, seed=3)
    write_study(tmp_path, study, found)
    text = markdown(study, found)
    assert (tmp_path / "study.md").read_text() == text
    assert "spokestream study toy --scale small --seed 3" in text
    assert "| ours | 5.0 | 9.3 |" in text
    assert "| Smaller than in the paper. | yes | 5.0 |" in text
    assert "<td>5.0</td>" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "figure-1.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_without_results_is_refused(tmp_path):
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(FileError, match="holds no results of a study"):
        stored_results(tmp_path / "study.json")
