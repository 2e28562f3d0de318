"""Every study runs at its smallest size, and its report names the numbers of the paper."""

import pytest

from spokestream.pipelines.studies.registry import STUDIES, load_study
from spokestream.pipelines.studies.report import markdown
from spokestream.pipelines.studies.running import run_study
from spokestream.pipelines.studies.study import SCALES


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_runs_and_reports(name, tmp_path):
    study = load_study(name)
    assert set(study.scales) == set(SCALES)
    text = markdown(study, run_study(study, "smoke", tmp_path, threads=1))
    assert "paper" in text
    assert "nan" not in text
