"""The pulse sequence of a scan: the one that the operator names, or that of its header, completed from presets."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import InputError, ScanError
from spokestream.gadgets.scan.header import ScanHeader, single
from spokestream.simulator.physics.sequences.loading import load_sequence, preset_names
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["DEFAULT_SEQUENCE", "LONGEST_TRAIN", "ScanSequence", "sequence_from_header"]

DEFAULT_SEQUENCE = "t1ff-2d-1400"
"""The preset of scans whose header gives no trains and names no preset."""
LONGEST_TRAIN = 20_000
LONGEST_SPOILED_TRAIN = 5_000
"""Largest number of spokes without and with transverse magnetisation that survives TR. The phase graphs of a dictionary
take 12 ms a spoke, so that a longer train would keep its client waiting for more than a minute."""
MOST_FRAMES = 4_000
"""Largest number of temporal frames. The basis is an eigenvalue problem of this size, which takes 5 s."""
MOST_REPETITIONS = 10
"""Upper limit for a value in a header, because time grows with it."""
SHORTEST_TRAIN = 20
"""Fewer values of a single quantity are those of contrasts or echoes, not a train."""
LIMITS = {
    "tr_ms": (1.0, 1e5, "ms; is it in s?"),
    "te_ms": (single("0.02"), 1e3, "ms; is it in s?"),
    "flip_angle_deg": (0.0, 180.0, "degrees"),
    "ti_ms": (0.1, 1e5, "ms; is it in s?"),
    "recovery_ms": (1.0, 1e6, "ms; is it in s?"),
}
"""Smallest and largest values that a scanner plays, and their unit; 0 is allowed where it means that there is none."""
LARGEST_IN_RADIANS = 3.2
"""A train without any flip angle above this is one in radians (180° are 3.14)."""
YES, NO = ("true", "1", "yes"), ("false", "0", "no")


@dataclass(frozen=True)
class ScanSequence:
    """A sequence and its source."""

    sequence: PulseSequence
    source: str
    """"operator", "header", "preset named by the header" or "default preset"."""
    warnings: tuple[str, ...] = ()
    """Sentences for the log, where sources disagree or something was assumed."""


def sequence_from_header(header: ScanHeader, chosen: str | None = None) -> ScanSequence:
    """The MRF sequence of a scan.

    A sequence that the operator chose is used as it is; a warning says where the header differs. Otherwise the trains
    of the header are used, with one value for all spokes or one per spoke. Flip angles, TE or TR that are missing are
    taken from the preset that the header names or whose trains agree. Without trains, the preset is used.

    Args:
        header: the header.
        chosen: preset, or TOML or Pulseq file, that the operator or the peer named for this scan.

    Raises ScanError if trains have different lengths, are impossible, incomplete or too long, or if the named preset
    does not exist and the trains are not complete; InputError or FileError if the chosen sequence does not exist.

    """
    if chosen is None:
        return _from_header(header)
    sequence = load_sequence(chosen)
    try:
        other = _from_header(header)
    except ScanError as error:
        return ScanSequence(sequence, "operator", (f"The sequence '{chosen}' was chosen, and is used: {error}",))
    difference = sequence.difference(other.sequence)
    if difference is None or other.source == "default preset":
        return ScanSequence(sequence, "operator")
    return ScanSequence(
        sequence,
        "operator",
        (f"The chosen sequence '{chosen}' differs from that of the header, and is used: {difference}.",),
    )


def _from_header(header: ScanHeader) -> ScanSequence:
    trains = {"te_ms": header.te_ms, "tr_ms": header.tr_ms, "flip_angle_deg": header.flip_angle_deg}
    named = header.user.get("mrf_sequence")
    known = named in preset_names()  # never a path, because a header must not name files of this machine
    if named is not None and not known and min(len(values) for values in trains.values()) < 2:
        raise ScanError(
            f"The header names the sequence '{named[:64]}' without its trains; known are {', '.join(preset_names())}."
        )
    lengths = {len(values) for values in trains.values() if len(values) > 1}
    if len(lengths) > 1:
        raise ScanError(f"The header's TE, TR and flip angle trains differ in length: {sorted(lengths)} values.")
    n_spokes = lengths.pop() if lengths else 0
    if n_spokes > LONGEST_TRAIN:
        raise ScanError(f"The header's trains have {n_spokes} spokes, more than {LONGEST_TRAIN}.")
    if 1 < n_spokes < SHORTEST_TRAIN and min(map(len, trains.values())) < 2:
        if not known:
            counts = ", ".join(f"{len(values)} {name}" for name, values in trains.items())
            raise ScanError(
                f"The header's sequence parameters are no trains ({counts}); name the sequence with the setting "
                "'sequence'."
            )
        n_spokes = 0
    preset_name = named if known else None
    if not n_spokes:  # single values, for instance one echo time, are no train
        found = _without_trains(header, preset_name)
    else:
        _check_trains(trains)
        preset, source = _completing_preset(trains, n_spokes, preset_name)
        found = _compose(header, trains, preset, source, n_spokes)
    doubts = _contradiction(preset_name, found.sequence) or _one_for_all(header, n_spokes)
    return replace(found, warnings=(*found.warnings, *doubts))


def _one_for_all(header: ScanHeader, n_spokes: int) -> tuple[str, ...]:
    """A warning if all spokes of a train have one flip angle, because converters write the protocol's single value."""
    if n_spokes < 2 or len(header.flip_angle_deg) != 1:
        return ()
    return (f"The header gives one flip angle, {header.flip_angle_deg[0]:g}°, for all {n_spokes} spokes.",)


def _contradiction(named: str | None, sequence: PulseSequence) -> tuple[str, ...]:
    """A warning if the header names a preset and gives values that the preset does not have."""
    if not named:
        return ()
    # the number of spokes in a frame says how the scan is reconstructed, not what was played
    preset = replace(load_sequence(named), spokes_per_frame=sequence.spokes_per_frame)
    difference = preset.difference(sequence)
    if difference is None:
        return ()
    return (f"The header names the sequence '{named}' but gives other values, which are used: {difference}.",)


def _without_trains(header: ScanHeader, named: str | None) -> ScanSequence:
    preset = load_sequence(named or DEFAULT_SEQUENCE)
    sequence = _compose(header, {}, preset, "preset named by the header", len(preset)).sequence
    if named:
        return ScanSequence(sequence, "preset named by the header")
    return ScanSequence(
        sequence,
        "default preset",
        (f"The header describes no sequence; '{DEFAULT_SEQUENCE}' is assumed. The setting 'sequence' names another.",),
    )


def _check_trains(trains: dict[str, tuple[float, ...]]) -> None:
    for name, values in trains.items():
        for value in values:
            _check_limits(name, value, zero_allowed=name == "flip_angle_deg")
    flips = trains["flip_angle_deg"]
    if flips and 0 < max(flips) < LARGEST_IN_RADIANS:
        raise ScanError(f"The largest flip angle of the header is {max(flips):g} degrees; is it in radians?")


def _check_limits(name: str, value: float, *, zero_allowed: bool) -> None:
    low, high, unit = LIMITS[name]
    if not (low <= value <= high or (zero_allowed and value == 0)):
        raise ScanError(f"The header's MRF sequence is impossible: {name} is {value:g} {unit}")


def _completing_preset(
    trains: dict[str, tuple[float, ...]], n_spokes: int, named: str | None
) -> tuple[PulseSequence, str]:
    """The preset that gives what the header lacks, and the source of the sequence."""
    missing = [name for name, values in trains.items() if not values]
    candidates = [named] if named else [DEFAULT_SEQUENCE, *(n for n in preset_names() if n != DEFAULT_SEQUENCE)]
    for name in candidates:
        preset = load_sequence(name)
        agrees = len(preset) == n_spokes and all(
            np.allclose(getattr(preset, key), values, rtol=1e-3, atol=1e-6) for key, values in trains.items() if values
        )
        if agrees or (named and not missing):
            return preset, "header" if not missing else f"header, completed from '{name}'"
    if missing:
        which = f"the preset '{named}' has" if named else "no preset has"
        raise ScanError(
            f"The header gives {n_spokes} spokes a train but no {', '.join(missing)} for them, and {which} the same "
            "other trains; name the sequence with the setting 'sequence'."
        )
    return load_sequence(DEFAULT_SEQUENCE), "header"


def _compose(
    header: ScanHeader, trains: dict[str, tuple[float, ...]], preset: PulseSequence, source: str, n_spokes: int
) -> ScanSequence:
    def train(name: str) -> NDArray[np.float64]:
        values = trains.get(name) or tuple(getattr(preset, name))
        return np.broadcast_to(np.asarray(values, float), n_spokes).copy()

    def number(name: str, default: float) -> float:
        text = header.user.get(f"mrf_{name}", str(default))
        try:
            value = float(text)
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise ScanError(f"The header's MRF sequence is impossible: mrf_{name} is '{text[:40]}', not a number.")
        return value

    repetitions, per_frame = (
        number("repetitions", preset.repetitions),
        number("spokes_per_frame", preset.spokes_per_frame),
    )
    if repetitions > MOST_REPETITIONS:
        raise ScanError(
            f"The header's MRF sequence is impossible: more than {MOST_REPETITIONS} repetitions ({repetitions:g})."
        )
    if per_frame > n_spokes:
        raise ScanError(
            f"The header's MRF sequence is impossible: {per_frame:g} spokes per frame in a train of {n_spokes} spokes."
        )
    ti_ms, recovery_ms = header.ti_ms[0] if header.ti_ms else preset.ti_ms, number("recovery_ms", preset.recovery_ms)
    _check_limits("ti_ms", ti_ms, zero_allowed=True)
    _check_limits("recovery_ms", recovery_ms, zero_allowed=True)
    inversion = header.user.get("mrf_inversion", str(preset.inversion)).lower()
    if inversion not in YES + NO:
        raise ScanError(f"The header's MRF sequence is impossible: mrf_inversion is '{inversion[:40]}'.")
    # a train of another length is not that of the preset, but its phases are as constant
    rf_phase_deg = preset.rf_phase_deg if n_spokes == len(preset) else np.zeros(n_spokes)
    try:
        sequence = PulseSequence(
            name=header.user.get("mrf_sequence", "from header" if trains else preset.name),
            flip_angle_deg=train("flip_angle_deg"),
            te_ms=train("te_ms"),
            tr_ms=train("tr_ms"),
            ti_ms=ti_ms,
            recovery_ms=recovery_ms,
            repetitions=round(repetitions),
            spokes_per_frame=round(per_frame),
            rf_phase_deg=_rf_phases(header, rf_phase_deg),
            # a train of another length is spoiled as the preset; PulseSequence checks the name
            spoiling=header.user.get("mrf_spoiling", preset.spoiling),  # type: ignore[arg-type]
            inversion=inversion in YES,
        )
    except InputError as error:
        raise ScanError(f"The header's MRF sequence is impossible: {error}.") from None
    if sequence.n_frames > MOST_FRAMES:
        raise ScanError(
            f"The header's trains have {sequence.n_frames} frames of {sequence.spokes_per_frame} spokes, more than "
            f"{MOST_FRAMES}; set mrf_spokes_per_frame."
        )
    if sequence.spoiling != "ideal" and n_spokes > LONGEST_SPOILED_TRAIN:
        raise ScanError(
            f"The header's trains have {n_spokes} spokes, more than {LONGEST_SPOILED_TRAIN} with {sequence.spoiling} "
            "spoiling."
        )
    return ScanSequence(sequence, source, _assumed(header, preset, sequence) if source == "header" else ())


def _rf_phases(header: ScanHeader, default: NDArray[np.float64]) -> NDArray[np.float64]:
    """The phases of the pulses, one for each spoke. Raises ScanError for other text than so many numbers."""
    text = header.user.get("mrf_rf_phase_deg")
    if text is None:
        return default
    try:
        phases = np.array([float(word) for word in text.split()])
    except ValueError:
        phases = np.zeros(0)
    if len(phases) != len(default):
        raise ScanError(
            f"The header's MRF sequence is impossible: mrf_rf_phase_deg is not one number for each of {len(default)} "
            "spokes."
        )
    return phases


def _assumed(header: ScanHeader, preset: PulseSequence, sequence: PulseSequence) -> tuple[str, ...]:
    """A warning about values that the header lacks, if its trains are not those of the preset that gives them."""
    lacking = [name for name in ("recovery_ms", "repetitions") if f"mrf_{name}" not in header.user]
    lacking += [] if header.ti_ms else ["ti_ms"]
    completed = {name: getattr(preset, name) for name in ("ti_ms", "recovery_ms", "repetitions", "spokes_per_frame")}
    if not lacking or preset.difference(replace(sequence, **completed)) is None:
        return ()
    values = ", ".join(f"{name} = {getattr(preset, name):g}" for name in lacking)
    return (f"The header does not give {', '.join(lacking)}; assumed from '{preset.name}': {values}.",)
