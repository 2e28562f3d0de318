"""Tissues: their mean parameters at 3 T and how much these vary within one person.

Relaxation times of organs: de Bazelaire et al., Radiology 2004;230:652; of blood and nerve: Stanisz et al.,
Magn Reson Med 2005;54:507. Fat is a separate pool, so that T1 and T2 of the water in fatty tissue are estimates.
"""

from dataclasses import dataclass, replace

from spokestream.simulator.phantoms.subject import Subject

__all__ = ["TISSUES", "Tissue", "tissue_in"]


@dataclass(frozen=True)
class Tissue:
    """Proton density, fat fraction, relaxation times in ms; a spread is 1 sd of a smooth field within the tissue."""

    pd: float
    ff: float
    t1h2o: float
    t2h2o: float
    t1fat: float = 345.0
    ff_spread: float = 0.0
    t1h2o_spread: float = 0.0
    t2h2o_spread: float = 0.0
    t1fat_spread: float = 8.0


TISSUES = {
    "air": Tissue(0, 0, 1, 1, 1, t1fat_spread=0),
    "skin": Tissue(0.55, 0.15, 950, 30),
    "subcutaneous fat": Tissue(1.00, 0.93, 900, 45, 350, ff_spread=0.008),
    "fascia": Tissue(0.45, 0.35, 1000, 25),
    "intermuscular fat": Tissue(0.95, 0.86, 1050, 45, 350, ff_spread=0.02),
    "visceral fat": Tissue(0.97, 0.90, 1000, 45, 345, ff_spread=0.015),
    "cortical bone": Tissue(0.03, 0.20, 800, 10),
    "bone marrow": Tissue(0.92, 0.90, 1000, 40, 325, ff_spread=0.015),
    "red marrow": Tissue(0.85, 0.45, 1050, 45, 330, ff_spread=0.05, t1h2o_spread=40, t2h2o_spread=3),
    "blood": Tissue(0.85, 0.01, 1932, 275),
    "nerve": Tissue(0.75, 0.30, 1083, 78),
    "liver": Tissue(0.80, 0.05, 809, 34, ff_spread=0.01, t1h2o_spread=25, t2h2o_spread=1.5),
    "kidney": Tissue(0.85, 0.01, 1300, 78, t1h2o_spread=120, t2h2o_spread=3),
    "spleen": Tissue(0.85, 0.01, 1328, 61, t1h2o_spread=20, t2h2o_spread=2),
    "pancreas": Tissue(0.80, 0.08, 725, 43, ff_spread=0.04, t1h2o_spread=30, t2h2o_spread=2),
    "bowel": Tissue(0.80, 0.06, 1150, 60, ff_spread=0.04, t1h2o_spread=120, t2h2o_spread=8),
    "pelvic organ": Tissue(0.85, 0.02, 1500, 75, t1h2o_spread=60, t2h2o_spread=6),
    "bladder wall": Tissue(0.80, 0.05, 1400, 50),
    "urine": Tissue(1.00, 0.01, 3000, 800),
    "spinal fluid": Tissue(1.00, 0.01, 3800, 1000),
    "spinal cord": Tissue(0.80, 0.01, 993, 78),
    "lung": Tissue(0.15, 0.01, 1250, 40, t1h2o_spread=40),
}
"""Name -> tissue, for everything except muscle."""


def tissue_in(subject: Subject, name: str) -> Tissue:
    """A tissue of `TISSUES` in this person: fat increases with age in marrow, and with weight in the liver."""
    tissue = TISSUES[name]
    rng = subject.rng("tissue", name)
    if name == "liver":
        tissue = replace(tissue, ff=min(0.4, 0.015 + 0.012 * max(0.0, subject.bmi - 18) * rng.exponential()))
    if name == "red marrow":
        tissue = replace(tissue, ff=0.25 + 0.005 * subject.age_years + 0.03 * rng.standard_normal())
    return replace(tissue, t1fat=tissue.t1fat + 6 * rng.uniform(-1, 1))
