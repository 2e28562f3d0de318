"""Faults of the ISMRMRD header: other units, values that are missing, values that contradict each other."""

import re

import numpy as np

from spokestream.simulator.faults.fault import Collection
from spokestream.simulator.faults.recorded import RecordedReadouts

__all__ = ["FAULTS"]

FAULTS = Collection("header")

Random = np.random.Generator


@FAULTS.fault(
    "lengths and times in other units",
    "TE and TR in s",
    "flip angle in rad",
    "field of view in m",
    cause="TR|TE|flip|field of view|FOV",
)
def units(scan: RecordedReadouts, what: str, rng: Random) -> None:
    """The header follows SI instead of ISMRMRD."""
    if what == "TE and TR in s":
        for tag in ("TR", "TE", "TI"):
            scan.scale_numbers(tag, 1e-3)
    elif what == "flip angle in rad":
        scan.scale_numbers("flipAngle_deg", np.pi / 180)
    else:
        sizes = scan.numbers("x")
        scan.space("encodedSpace", fov_mm=sizes[1] * 1e-3)
        scan.space("reconSpace", fov_mm=sizes[3] * 1e-3)


@FAULTS.fault("flip angles missing", "all of them", "all, and no preset named", "all but one", cause="flip")
def flips_missing(scan: RecordedReadouts, what: str, rng: Random) -> None:
    """The converter writes the trains of TE and TR, but not of the flip angles."""
    one = scan.numbers("flipAngle_deg")[0]
    scan.xml = re.sub(r"<flipAngle_deg>[^<]*</flipAngle_deg>", "", scan.xml)
    if what == "all but one":
        scan.replace("</sequenceParameters>", f"<flipAngle_deg>{one:g}</flipAngle_deg></sequenceParameters>")
    if what != "all of them":
        scan.replace(r"<userParameters>.*?</userParameters>", "")


@FAULTS.fault("a converter's list of contrasts", 1, 2, 3, cause="sequence|TE|train")
def contrasts(scan: RecordedReadouts, n: int, rng: Random) -> None:
    """The header has one TR, one flip angle and a few echo times, and does not name the sequence."""
    te_ms = sorted(set(scan.numbers("TE")))[:n]
    body = (
        "<TR>3.52</TR>" + "".join(f"<TE>{te:g}</TE>" for te in te_ms) + "<TI>9.8</TI><flipAngle_deg>10</flipAngle_deg>"
    )
    scan.replace(r"<sequenceParameters>.*?</sequenceParameters>", f"<sequenceParameters>{body}</sequenceParameters>")
    scan.replace(r"<userParameters>.*?</userParameters>", "")


@FAULTS.fault(
    "field strength", "missing", "contradicts the frequency", "wrong, with its frequency", cause="field|T\\b|explain"
)
def field_strength(scan: RecordedReadouts, what: str, rng: Random) -> None:
    """The main field is missing, or it is that of another scanner."""
    if what == "missing":
        scan.replace(r"<systemFieldStrength_T>[^<]*</systemFieldStrength_T>", "")
        return
    scan.replace(r"<systemFieldStrength_T>[^<]*", "<systemFieldStrength_T>1.494")
    if what == "wrong, with its frequency":
        scan.replace(r"<H1resonanceFrequency_Hz>[^<]*", "<H1resonanceFrequency_Hz>63610000")


@FAULTS.fault(
    "values that nothing has",
    "TR of 1e308",
    "matrix of 1e9",
    "field of view of nan",
    cause="TR|matrix|field of view|finite|unreadable",
)
def absurd_values(scan: RecordedReadouts, what: str, rng: Random) -> None:
    """A number in the header is beyond all reason."""
    if what == "TR of 1e308":
        scan.replace(r"<TR>[^<]*", "<TR>1e308")
    elif what == "matrix of 1e9":
        scan.space("reconSpace", matrix=10**9)
    else:
        scan.space("reconSpace", fov_mm=float("nan"))


@FAULTS.fault("recon matrix interpolated by the converter", 2, 3, 4, cause="matrix|interpolat")
def interpolated(scan: RecordedReadouts, factor: int, rng: Random) -> None:
    """The image has more pixels than were encoded, over the same field of view, by a whole factor."""
    scan.space("reconSpace", matrix=round(scan.numbers("x")[2]) * factor)
    for row in scan.spokes:  # cycles per pixel of the finer image
        scan.put_trajectory(row, scan.trajectory(row) / factor)


@FAULTS.fault("the trajectory's name", "cartesian", "other", "Radial", cause="trajectory")
def trajectory_name(scan: RecordedReadouts, name: str, rng: Random) -> None:
    """The header gives another name to the trajectory that all spokes carry."""
    scan.replace(">goldenangle<", f">{name}<")


@FAULTS.fault("the inversion is not where the header says", 3.0, 10.0, 100.0, cause="explain|sequence")
def inversion_time(scan: RecordedReadouts, factor: float, rng: Random) -> None:
    """TI in the header is longer than it was."""
    scan.scale_numbers("TI", factor)


@FAULTS.fault("echo times of another protocol", 0.2, 0.5, 1.1, cause="explain|sequence|TE")
def echo_times(scan: RecordedReadouts, shift_ms: float, rng: Random) -> None:
    """All echo times in the header are later than they were."""
    scan.xml = re.sub(r"<TE>([^<]*)</TE>", lambda m: f"<TE>{float(m[1]) + shift_ms:.6g}</TE>", scan.xml)


@FAULTS.fault(
    "flip angles in another order",
    "shifted by 50 spokes",
    "shifted by 300 spokes",
    "reversed",
    cause="explain|sequence",
)
def flip_order(scan: RecordedReadouts, how: str, rng: Random) -> None:
    """The train of flip angles in the header is not the one that was played."""
    flips = np.array(scan.numbers("flipAngle_deg"))
    shifts = {"shifted by 50 spokes": 50, "shifted by 300 spokes": 300}
    played = iter(flips[::-1] if how == "reversed" else np.roll(flips, shifts[how]))
    scan.xml = re.sub(r"<flipAngle_deg>[^<]*", lambda _: f"<flipAngle_deg>{next(played):.6g}", scan.xml)
