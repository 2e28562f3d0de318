"""A network of 5 x 5 pixels and all times, against matching and networks of single voxels (Balsiger et al. 2018)."""

from collections.abc import Sequence
from functools import partial

from spokestream.pipelines.studies.balsiger2018.bench import Bench
from spokestream.pipelines.studies.balsiger2018.report import report
from spokestream.pipelines.studies.balsiger2018.sizes import Sizes, training_step
from spokestream.pipelines.studies.study import Step, Study

__all__ = ["STUDY"]


def _steps(sizes: Sizes, seed: int, threads: int) -> Sequence[Step]:
    bench = partial(Bench, sizes, seed, threads)
    steps = [
        Step("scans", lambda folder: bench(folder).scans(), []),
        Step("matching", lambda folder: bench(folder).matching(), ["scans"]),
    ]
    steps += [
        Step(training_step(network, fold), lambda folder, n=network, f=fold: bench(folder).network(n, f), ["scans"])  # type: ignore[misc]
        for network in sizes.networks
        for fold in range(sizes.subjects)
    ]
    return steps


STUDY = Study(
    "balsiger2018",
    "Balsiger, Shridhar Konar, Chikop, Chandran, Scheidegger, Geethanath and Reyes, MLMIR 2018, LNCS 11074:39",
    "Brains are procedural, and every readout of the train of 720 is a golden-angle radial spoke. An image is the "
    "mean of a sliding window of 48 readouts, as in the paper; except at the scale `paper`, windows are half a window "
    "or more apart. The paper scanned six volunteers at 1.5 T with spirals, and took other scans as the truth of T1, "
    "T2 and proton density; here the truth is that of the phantom, without proton density. The flip angles of the "
    "brains vary with B1, which dictionary and networks do not know. In turn, each subject is left out; of the "
    "others, the last one chooses the best weights, and the network is trained on the rest. Errors are those of the "
    "subject that is left out, over all voxels of a tissue, and means of all subjects.",
    {
        "paper": Sizes(
            matrix=256, coils=8, subjects=6, slices=16, stride=1, networks=("balsiger2018", "cohen2018", "hoppe2017")
        ),
        "small": Sizes(
            matrix=96, coils=4, subjects=6, slices=4, stride=24, networks=("balsiger2018", "cohen2018"),
            epochs=20, learning_rate=3e-4, patch=5, per_slice=60, batch=60, voxels=1000,
        ),
        "smoke": Sizes(
            matrix=24, coils=2, subjects=3, slices=1, stride=48, networks=("balsiger2018", "cohen2018"), epochs=2,
            learning_rate=1e-3, patch=5, per_slice=4, batch=4, voxels=50,
        ),
    },
    _steps,
    report,
)  # fmt: skip
