"""SCQ: features of fingerprints and a U-Net, one network for each map, at few time points (Fang et al. 2019)."""

from collections.abc import Sequence
from functools import partial

from spokestream.pipelines.studies.fang2019.bench import Bench
from spokestream.pipelines.studies.fang2019.report import report, step_name
from spokestream.pipelines.studies.fang2019.sizes import ALL_POINTS, PAPER_FEATURES, Sizes, runs
from spokestream.pipelines.studies.study import Step, Study

__all__ = ["STUDY"]


def _steps(sizes: Sizes, seed: int, threads: int) -> Sequence[Step]:
    bench = partial(Bench, sizes, seed, threads)
    steps, reference = [], f"matching-{ALL_POINTS}"  # errors are relative to its maps, too
    for a in (ALL_POINTS, *sizes.accelerations):
        needed = [f"scans-{a}"] if a == ALL_POINTS else [f"scans-{a}", reference]
        steps.append(Step(f"scans-{a}", lambda folder, a=a: bench(folder).scan(a), []))  # type: ignore[misc]
        steps.append(Step(f"matching-{a}", lambda folder, a=a: bench(folder).matching(a), needed))  # type: ignore[misc]
    steps += [
        Step(f"csmr-{a}", lambda folder, a=a: bench(folder).restoration(a), [f"scans-{a}", reference])  # type: ignore[misc]
        for a in sizes.accelerations
    ]
    steps += [
        Step(
            step_name(run, fold),
            lambda folder, r=run, f=fold: bench(folder).network(r, f),  # type: ignore[misc]
            [f"scans-{run.acceleration}", reference],
        )
        for run in runs(sizes)
        for fold in range(sizes.folds)
    ]
    return steps


STUDY = Study(
    "fang2019",
    "Fang et al., IEEE Trans Med Imaging 2019;38:2364 (SCQ)",
    "Scans of procedural brains with a golden-angle radial spoke for each time point, where the paper has a spiral "
    "arm. The course of the flip angles is ours, because the paper does not print it; at scale small, a frame is the "
    "mean of four time points. Errors are mean relative differences over tissue with T1 below 2.5 s, and apart from "
    "those over fluid. The flip angles of the brains vary with B1, which dictionary and networks do not know. Networks "
    "are trained on the known truth, and one of the training subjects chooses the best weights; the paper takes "
    "matching of all points as truth. They see the coefficients of the pipeline, expanded to all frames, so that they "
    "see no more numbers than the dictionary's singular vectors that keep all but a millionth of its energy. All "
    "networks of a scale are trained for an equal number of epochs.",
    {
        "paper": Sizes(2304, (2, 4, 8), 1, 4, tuple(PAPER_FEATURES), 256, 8, 6, 12, 6, 75, 5, 64, 4, 16, 2000),
        "small": Sizes(2304, (4, 8), 4, 4, (90.0, 99.999), 64, 4, 6, 4, 1, 20, 3, 32, 2, 2, 1000),
        "smoke": Sizes(192, (2,), 1, 2, (99.9,), 16, 2, 3, 1, 1, 2, 1, 8, 1, 1, 50),
    },
    _steps,
    report,
)
