"""All studies by name."""

from spokestream.pipelines.studies.cohen2018 import COHEN2018
from spokestream.pipelines.studies.study import Study

__all__ = ["STUDIES"]

STUDIES: dict[str, Study] = {study.name: study for study in (COHEN2018,)}
