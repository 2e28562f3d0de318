"""Spatially regularised networks for MRF T1-FF, against networks of single fingerprints (Balsiger et al. 2020)."""

from spokestream.pipelines.studies.balsiger2020.claims import claims
from spokestream.pipelines.studies.balsiger2020.sizes import Sizes
from spokestream.pipelines.studies.balsiger2020.steps import steps
from spokestream.pipelines.studies.balsiger2020.tables import (
    capacity_figure,
    capacity_table,
    frames_figure,
    frames_table,
    subjects_figure,
    subjects_table,
    table_2,
    truth_table,
    unseen_table,
)
from spokestream.pipelines.studies.study import Report, Results, Study

__all__ = ["STUDY"]


def _report(sizes: Sizes, results: Results) -> Report:
    tables = [
        table_2(sizes, results), truth_table(sizes, results), capacity_table(sizes, results), frames_table(results),
        subjects_table(sizes, results), unseen_table(sizes, results),
    ]  # fmt: skip
    figures = {
        "Fig. 6: error by receptive field and number of parameters": capacity_figure(sizes, results),
        "Fig. 7: importance of the temporal frames": frames_figure(results),
        "Fig. 8: error by the number of subjects to train on": subjects_figure(sizes, results),
    }
    return Report(tables, claims(sizes, results), figures)


STUDY = Study(
    "balsiger2020",
    "Balsiger, Jungo, Scheidegger, Carlier, Reyes and Marty, Med Image Anal 2020;64:101741",
    "Patients are phantoms whose radial scans are simulated through point spread functions; the paper scanned thighs "
    "and legs of 164 patients. As in the paper, networks are trained on the maps of matching and compared with them; "
    "here the truth is known as well. Frames are computed from about 17 temporal coefficients, so that many frames "
    "share their noise. Except at the scale `paper`, images have fewer pixels, which lowers the undersampling factor "
    "from 69 in proportion, and all trainings have equally few steps, with a cosine decay of the learning rate: no "
    "network is trained to its end, least of all those of many layers.",
    {
        "paper": Sizes(
            matrix=350, coils=16, slices=5, anatomies="thigh,calf", subjects=94, validation=20, tested=50,
            unseen=("shoulder", "abdomen", "pelvis"), subjects_unseen=1,
            networks=("balsiger2020", "fang2019", "oksuz2019", "cohen2018", "hoppe2017"), steps=0,
            receptive_field=15, parameters=5_000_000, receptive_fields=(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21),
            capacities=(1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000),
            fewer=(5, 15, 25, 40, 55, 70, 85), draws=5, frame_step=1,
        ),
        "small": Sizes(
            matrix=96, coils=4, slices=3, anatomies="thigh", subjects=20, validation=3, tested=6,
            unseen=("calf", "shoulder", "pelvis", "abdomen"), subjects_unseen=2,
            networks=("balsiger2020", "fang2019", "cohen2018"), steps=800,
            receptive_field=5, parameters=1_300_000, receptive_fields=(1, 5, 9), capacities=(1_300_000, 2_600_000),
            fewer=(2, 6), draws=2, frame_step=2,
        ),
        "smoke": Sizes(
            matrix=24, coils=2, slices=1, anatomies="thigh", subjects=2, validation=1, tested=1, unseen=("calf",),
            subjects_unseen=1, networks=("balsiger2020", "cohen2018"), steps=4, receptive_field=3, parameters=300_000,
            receptive_fields=(1, 3), capacities=(300_000,), fewer=(1,), draws=1, frame_step=24,
        ),
    },
    steps,
    _report,
)  # fmt: skip
