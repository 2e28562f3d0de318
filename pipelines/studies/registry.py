"""All studies by name. The module of a study is imported only when it runs, because it imports training."""

from importlib import import_module

from spokestream.pipelines.studies.study import Study

__all__ = ["STUDIES", "load_study"]

STUDIES = ("fang2019", "cohen2018", "song2019", "balsiger2018", "balsiger2020")
"""The papers; the module of the same name holds the study as `STUDY`."""


def load_study(name: str) -> Study:
    """The study of one of `STUDIES`."""
    study = import_module(f"spokestream.pipelines.studies.{name}").STUDY
    assert isinstance(study, Study)
    return study
