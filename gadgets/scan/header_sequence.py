"""The pulse sequence of a scan, from its header and from presets."""

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import InputError, ScanError
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.simulator.physics.sequences.loading import load_sequence, preset_names
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["LONGEST_TRAIN", "sequence_from_header"]

LONGEST_TRAIN = 20_000
MOST_REPETITIONS = 10
"""Upper limits for values in a header, because memory and time grow with both."""


def sequence_from_header(header: ScanHeader, default: str) -> PulseSequence:
    """The MRF sequence of a scan: the trains in its header, or the preset that the header names, or `default`.

    TE, TR and flip angle may have one value or one per spoke. Values that are missing are taken from the preset.
    Raises ScanError if trains have different lengths, are impossible or too long, or if the named preset does not
    exist and the trains are not complete.
    """
    trains = {"te_ms": header.te_ms, "tr_ms": header.tr_ms, "flip_angle_deg": header.flip_angle_deg}
    named = header.user.get("mrf_sequence", default)
    if named not in preset_names():  # never a path, because a header must not name files of this machine
        if named != default and min(len(values) for values in trains.values()) < 2:
            raise ScanError(
                f"The header names the sequence '{named[:64]}' without its trains; "
                f"known are {', '.join(preset_names())}."
            )
        named = default
    preset = load_sequence(named)
    lengths = {len(values) for values in trains.values() if len(values) > 1}
    if len(lengths) > 1:
        raise ScanError(f"The header's TE, TR and flip angle trains differ in length: {sorted(lengths)} values.")
    if not lengths:  # single values, for instance one echo time, are no train
        trains = dict.fromkeys(trains, ())
    n_spokes = lengths.pop() if lengths else len(preset)
    if n_spokes > LONGEST_TRAIN:
        raise ScanError(f"The header's trains have {n_spokes} spokes, more than {LONGEST_TRAIN}.")

    def train(name: str) -> NDArray[np.float64]:
        values = trains[name] or tuple(getattr(preset, name))
        if len(values) not in (1, n_spokes):
            raise ScanError(f"The header gives {n_spokes} spokes a train but no {name} for them.")
        return np.broadcast_to(np.asarray(values, float), n_spokes).copy()

    def number(name: str, default: float) -> float:
        text = header.user.get(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise ScanError(f"The header's MRF sequence is impossible: {name} is '{text[:40]}', not a number.")
        return value

    repetitions = round(number("mrf_repetitions", preset.repetitions))
    if repetitions > MOST_REPETITIONS:
        raise ScanError(
            f"The header's MRF sequence is impossible: more than {MOST_REPETITIONS} repetitions ({repetitions})."
        )
    try:
        return PulseSequence(
            name=header.user.get("mrf_sequence", "from header" if any(trains.values()) else preset.name),
            flip_angle_deg=train("flip_angle_deg"),
            te_ms=train("te_ms"),
            tr_ms=train("tr_ms"),
            ti_ms=header.ti_ms[0] if header.ti_ms else preset.ti_ms,
            recovery_ms=number("mrf_recovery_ms", preset.recovery_ms),
            repetitions=repetitions,
            spokes_per_frame=round(number("mrf_spokes_per_frame", preset.spokes_per_frame)),
            # a train of another length is not that of the preset, but it is spoiled in the same way
            rf_phase_deg=preset.rf_phase_deg if n_spokes == len(preset) else np.zeros(n_spokes),
            # PulseSequence checks the name
            spoiling=header.user.get("mrf_spoiling", preset.spoiling),  # type: ignore[arg-type]
            inversion=header.user.get("mrf_inversion", str(preset.inversion)).lower() != "false",
        )
    except InputError as error:
        raise ScanError(f"The header's MRF sequence is impossible: {error}.") from None
