"""Steps of a study run once; its report shows their numbers beside those of the paper."""

from dataclasses import dataclass

import pytest
from distributed import LocalCluster
from matplotlib.figure import Figure

from spokestream.dask_workers import dask_client, in_order
from spokestream.errors import FileError, InputError
from spokestream.pipelines.studies.registry import STUDIES, load_study
from spokestream.pipelines.studies.report import markdown, write_study
from spokestream.pipelines.studies.running import run_study, stored_results
from spokestream.pipelines.studies.study import SCALES, Claim, Report, Step, Study, Table


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


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


def of_steps(names, after):
    """A study whose steps count the steps that the folder holds when they begin."""

    def count(folder):
        return {"before": sorted(path.stem for path in (folder / "steps").glob("*.json"))}

    def steps(sizes, seed, threads):
        return [Step(name, count, after.get(name)) for name in names]

    return Study("toy", "", "", {"paper": Sizes(3), "small": Sizes(2), "smoke": Sizes(1)}, steps, lambda *_: None)


def test_a_step_waits_for_those_that_it_needs_and_for_no_other(tmp_path, cluster):
    shown = []
    study = of_steps("abcd", {"a": [], "b": ["a"], "c": []})
    found = run_study(study, "smoke", tmp_path, threads=1, progress=lambda *s: shown.append(s), scheduler=cluster)
    before = {name: set(numbers["before"]) for name, numbers in found["results"].items()}
    assert before["b"] >= {"a"}
    assert before["d"] == {"a", "b", "c"}  # no list means all earlier steps
    assert [step[:2] for step in shown] == [(n, 4) for n in range(5)]
    assert shown[-1][2] == ""


def test_an_interrupted_study_goes_on_on_workers(tmp_path, cluster):
    with pytest.raises(InputError, match="interrupted"):
        run_study(toy([], broken=True), "small", tmp_path, scheduler=cluster)
    assert run_study(toy([]), "small", tmp_path, scheduler=cluster)["results"] == {
        "first": {"voxels": 10}, "second": {"error": 5.0},
    }  # fmt: skip


def test_a_process_runs_one_step_at_a_time_and_waiting_steps_leave_their_thread(tmp_path, cluster):
    """Two steps of one process, of which the first waits for tasks of its own; both workers are in this process."""

    def first(folder):
        (folder / "works").write_text("")
        with dask_client(None, 1) as client:
            found = sum(in_order(client, float, range(8)))
        (folder / "works").unlink()
        return {"sum": found}

    def other(folder):
        return {"alone": not (folder / "works").exists()}

    def steps(sizes, seed, threads):
        return [Step("first", first, []), *(Step(f"other-{n}", other, []) for n in range(4))]

    study = Study("toy", "", "", {"paper": Sizes(3), "small": Sizes(2), "smoke": Sizes(1)}, steps, lambda *_: None)
    found = run_study(study, "smoke", tmp_path, threads=1, scheduler=cluster)["results"]
    assert found == {"first": {"sum": 28}, **{f"other-{n}": {"alone": True} for n in range(4)}}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_has_all_scales_and_its_steps_need_earlier_ones(name):
    study = load_study(name)
    assert set(study.scales) == set(SCALES)
    for sizes in study.scales.values():
        names = []
        for step in study.steps(sizes, 0, 1):
            assert set(step.after) <= set(names), step.name
            names.append(step.name)


def test_workers_find_the_same_numbers(tmp_path, cluster):
    study = load_study("cohen2018")
    alone = run_study(study, "smoke", tmp_path / "alone", threads=1)
    spread = run_study(study, "smoke", tmp_path / "spread", threads=1, scheduler=cluster)
    assert without_seconds(spread["results"]) == without_seconds(alone["results"])


def without_seconds(found):
    if isinstance(found, dict):
        return {name: without_seconds(value) for name, value in found.items() if name != "seconds"}
    return found


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
