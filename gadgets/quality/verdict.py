"""The verdict on a slice: whether its maps can be trusted, and if not, the likely cause in one sentence.

The limits were chosen on about 150 simulated scans, with and without faults (`benchmarks/quality_gate.py`). The numbers
below were measured afterwards: those of clean scans on 26 others of 48 to 128 pixels. `docs/gadgets.md` has the rates.
"""

from dataclasses import dataclass

from spokestream.gadgets.quality.image_evidence import ImageEvidence

__all__ = [
    "LARGEST_RING", "MOST_FLAGGED_BEYOND_MODEL", "MOST_FLAGGED_BY_NETWORK", "MOST_FLAGGED_BY_SEARCH",
    "UNEXPLAINED_SPOKES", "FitEvidence", "Verdict", "verdict",
]  # fmt: skip

CONTRAST_OF_NOISE = 1.3
"""Noise has a contrast of 1, because its mask is random."""
LEAST_CONTRAST = 9.0
"""Clean scans have 22 or more. An echo that is 2 % of the readout away from `center_sample` gives 5 in the median."""
LARGEST_RING = 0.25
"""Clean scans have 0.11 or less. An echo 5 % of the readout away from `center_sample` gives 0.46 or more."""
LARGEST_CORNERS = 0.12
"""Clean scans have 0.02 or less. A field of view that is too small by a factor of 1.5 gives 0.17 or more."""
LEAST_RIM = 0.02
"""Clean scans have 0.06 or more. A field of view that is too large by a factor of 2 gives 0.016 in the median, but
more than 0.02 in a quarter of the scans, which are missed."""
RIM_EXPECTED = 0.95
"""Radius of k-space, over that of the resolution, that the spokes must cover so that the rim contains samples."""
LARGEST_BODY = 0.75
"""Fraction of the image that tissue fills. In clean scans it is 0.4 or less."""
SMALLEST_BODY = 0.005
UNEXPLAINED_ALWAYS, UNEXPLAINED_PER_PIXEL = 0.015, 0.011 / 96
"""Energy that noise (up to 0.2 of the mean frame) and aliasing of `UNEXPLAINED_SPOKES` leave unexplained: a part, and a
part for every pixel of the matrix. The amplitude of clean scans is up to 0.7 of the limit."""
UNEXPLAINED_SPOKES = 1400
"""Fewer spokes leave more in inverse proportion, both of noise and of aliasing. The amplitude of a clean brain of 256
pixels and 576 spokes is 0.8 of the limit then."""
MOST_FLAGGED_BY_NETWORK = 0.15
"""Fraction of flagged voxels above which the maps of a network do not explain the signal."""
MOST_FLAGGED_BY_SEARCH = 0.35
"""The same for maps that are the best of a dictionary. The steps of its grid, and voxels of 9 mm that hold several
tissues, are visible as misfit if there is hardly any noise: up to 0.28 of a clean scan."""
MOST_FLAGGED_BEYOND_MODEL = 0.35
"""The same for maps of a network that was trained with other inversion efficiencies and B1, if the tissue model takes
both as perfect: ten simulated brains with efficiencies of 0.9 to 1 had 0.15 to 0.22, most of it in the fat of the
scalp."""
MOST_AT_LIMIT = 0.1
"""Fraction of the voxels whose value is the lowest or highest that the method can give; clean scans have up to 0.07."""


@dataclass(frozen=True)
class FitEvidence:
    """What the fit of the maps says of a slice."""

    unexplained: float
    """Amplitude of the signal that the maps leave unexplained, over that of the whole signal of the foreground."""
    flagged: float
    """Fraction of the foreground whose maps the signal contradicts."""
    at_limit: dict[str, float]
    """Map -> fraction of the foreground that has the lowest or the highest value that the method can give."""


@dataclass(frozen=True)
class Verdict:
    """Why a slice cannot be trusted."""

    reason: str
    """The cause in a few words, for metadata."""
    sentence: str
    """The cause and what to do, for the person at the console; it follows "Slice 2: "."""


def verdict(
    image: ImageEvidence,
    fit: FitEvidence,
    body: float,
    matrix: int,
    covered: float,
    most_flagged: float,
    spokes: int = UNEXPLAINED_SPOKES,
) -> Verdict | None:
    """The first cause that the evidence speaks for; None if the slice can be trusted.

    Args:
        image: evidence from the images.
        fit: evidence from the fit.
        body: fraction of the image that is foreground.
        matrix: larger number of pixels of a side.
        covered: radius of k-space that the header says is measured, over that of the image's resolution.
        most_flagged: `MOST_FLAGGED_BY_NETWORK` or `MOST_FLAGGED_BY_SEARCH`.
        spokes: number of spokes of a slice.

    """
    fewer = max(1.0, UNEXPLAINED_SPOKES / spokes)
    usual = (fewer * (UNEXPLAINED_ALWAYS + UNEXPLAINED_PER_PIXEL * matrix)) ** 0.5
    limit, fraction = max(fit.at_limit.items(), key=lambda item: item[1], default=("", 0.0))
    causes = (
        (
            image.contrast < CONTRAST_OF_NOISE, "there is nothing but noise",
            "there is nothing but noise; check that the patient is in the coils and that the coils are connected.",
        ),
        (
            image.ring > LARGEST_RING, "k-space is not strongest at its centre",
            "the signal is strongest away from the centre of k-space; check center_sample and the trajectory.",
        ),
        (
            image.corners > LARGEST_CORNERS, "spokes reach beyond the image's resolution",
            "the spokes reach beyond the resolution of the image; check encoded and recon field of view, and "
            "center_sample.",
        ),
        (
            image.rim < LEAST_RIM and covered > RIM_EXPECTED, "k-space is measured in its middle only",
            "the spokes do not reach the resolution that the header states; check encoded and recon field of view.",
        ),
        (
            not SMALLEST_BODY <= body <= LARGEST_BODY, "tissue fills all or nearly nothing of the image",
            f"tissue fills {body:.1%} of the image; check the field of view and the trajectory.",
        ),
        (
            image.contrast < LEAST_CONTRAST, "tissue does not stand out from streaks and noise",
            "tissue does not stand out from streaks and noise; check the trajectory and the order of the spokes.",
        ),
        (
            fit.unexplained > usual, "the maps do not explain the signal",
            f"the maps leave {fit.unexplained:.0%} of the signal unexplained, {usual:.0%} at most are usual; check "
            "trajectory, sequence and field strength.",
        ),
        (
            fraction > MOST_AT_LIMIT, f"{limit} is at its limits",
            f"{limit} is at its lowest or highest possible value in {fraction:.0%} of the voxels; check shim, "
            "transmitter calibration, sequence and field strength.",
        ),
        (
            fit.flagged > most_flagged, "the signal contradicts the maps",
            f"the maps do not explain the measured signal in {fit.flagged:.0%} of the voxels; check sequence and field "
            "strength.",
        ),
    )  # fmt: skip
    return next((Verdict(reason, sentence) for holds, reason, sentence in causes if holds), None)
