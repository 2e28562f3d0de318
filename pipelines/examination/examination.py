"""The examination of a scan: what its header and readouts say, and what its first slice gives.

Everything is found by the functions with which the node reconstructs; the first slice goes through the whole chain.
"""

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spokestream.errors import InputError, SpokestreamError
from spokestream.gadgets.map_images import PIXEL_COUNTS
from spokestream.gadgets.model_fit.conjugates import FEWEST_VOXELS
from spokestream.gadgets.readouts.flags import rejecting_flags
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.scan.header_sequence import ScanSequence, sequence_from_header
from spokestream.gadgets.scan.main_field import main_field
from spokestream.pipelines.chains import PIPELINES
from spokestream.pipelines.examination.first_slice import FirstSlice, ReadoutCount, count_readouts
from spokestream.pipelines.files.image_notes import image_counts, image_provenance
from spokestream.pipelines.files.outputs import map_volumes
from spokestream.pipelines.files.piped_scan import PIPE
from spokestream.pipelines.files.replay import open_chosen, reconstruct
from spokestream.pipelines.files.validity import shown_foreground
from spokestream.pipelines.files.warnings_to import warnings_to
from spokestream.pipelines.selection import Selection
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

__all__ = ["Examination", "Finding", "examine_scan"]

VOXEL_COUNTS = {"flagged", "foreground", "not_exhaustive", "untrusted", *PIXEL_COUNTS}
"""The counts of a map image that count voxels; the others count spokes."""


@dataclass(frozen=True)
class Finding:
    """One line of what was found."""

    what: str
    found: str
    doubtful: bool = False


@dataclass
class Examination:
    """What was found in a scan."""

    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """The warnings of the reconstruction of the first slice, in order."""
    refusal: str = ""
    """Why the scan cannot be reconstructed, in one sentence; empty if it can."""
    command: str = ""
    """The command that reconstructs the scan with all options that it needs."""

    def add(self, what: str, found: str, doubtful: bool = False) -> None:
        """Add a finding."""
        self.findings.append(Finding(what, found, doubtful))


def examine_scan(path: Path, pipeline: str | None = None, parameters: Mapping[str, Any] | None = None) -> Examination:
    """Examine a scan: read it once to count its readouts, then reconstruct its first slice.

    Args:
        path: the file, as for `replay`.
        pipeline: the pipeline to use, by default the one whose maps the sequence encodes.
        parameters: settings of the pipeline.

    Raises SpokestreamError if the scan cannot be read at all. What prevents the reconstruction is part of the result.

    """
    if str(path) == PIPE:
        raise InputError("A scan is read twice to be examined, and a pipe can be read once; write it to a file first.")
    source, selection = open_chosen(path, pipeline, parameters)
    result = Examination()
    count = count_readouts(source)
    _describe_readouts(result, count)
    encoding = next(iter(count.encodings), 0)
    options = {name: getattr(selection.settings, name) for name in sorted(selection.given)}
    try:
        header = ScanHeader.from_xml(source.xml)
        header = ScanHeader.from_xml(source.xml, encoding if encoding < header.n_encodings else 0)
        _describe_header(result, header, count)
        sequence = _describe_sequence(result, header, selection)
        selection = selection.of_sequence(sequence.sequence)
        result.add("pipeline", f"{selection.name}: {_title(selection)}")
        with warnings_to(result.warnings.append):
            images, _ = reconstruct(FirstSlice(source), selection)
        provenance = image_provenance(images)
        for what in ("trajectory", "trajectory_unit", "noise", "scale"):
            if what in provenance:
                result.add(what.replace("_", " "), provenance[what], provenance[what].startswith("not used"))
        foreground = int(shown_foreground(map_volumes(images)).sum())
        result.add("tissue", f"{foreground} voxels of the first slice", not foreground)
        conjugate = "conjugated and mirrored" in provenance.get("conjugation", "")
        result.add("sign of the samples", _conjugation(provenance, selection, foreground), conjugate)
        if conjugate:
            options["conjugate"] = "yes"
        counts = image_counts(images[0])
        result.add("voxels beside the model", f"{counts.get('flagged', 0)} of {foreground}")
        wrong = {kind: n for kind, n in counts.items() if n and kind not in VOXEL_COUNTS}
        words = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in wrong.items())
        result.add("irregular spokes", words or "none in the first slice", bool(wrong))
    except SpokestreamError as error:
        result.refusal = str(error)
    result.command = _command(path, selection.name, options)
    return result


def _describe_readouts(result: Examination, count: ReadoutCount) -> None:
    spokes, slices = count.spokes.total(), len(count.spokes)
    each = _values(Counter(count.spokes.values()))
    result.add(
        "readouts",
        f"{count.readouts}: {spokes} spokes in {slices} slice{'s' * (slices != 1)} ({each} in each)",
        not spokes,
    )
    if count.runs > slices:
        result.add("order", f"the slices are interleaved: a slice begins {count.runs} times", True)
    result.add("noise readouts", str(count.noise) if count.noise else "none", not count.noise)
    if count.other:
        result.add("left out by flags", rejecting_flags(count.other))
    if not spokes:
        return
    coils, samples = count.shapes.most_common(1)[0][0]
    shapes = f"{coils} coils, {samples} samples"
    if len(count.shapes) > 1:
        shapes += "; others: " + _values(Counter({f"{c} coils, {s} samples": n for (c, s), n in count.shapes.items()}))
    result.add("spoke", shapes, len(count.shapes) > 1)
    result.add(
        "dwell time", f"{_values(count.dwells_us)} µs", set(count.dwells_us) == {0.0} or len(count.dwells_us) > 1
    )
    result.add("center_sample", _values(count.centers))
    if any(any(discard) for discard in count.discards):
        words = _values(Counter({f"{pre} before, {post} after": n for (pre, post), n in count.discards.items()}))
        result.add("discarded samples", words)
    embedded = {0: "none", 2: "kx, ky", 3: "kx, ky and a third column"}
    kinds = Counter({embedded.get(n, f"{n} columns"): times for n, times in count.dimensions.items()})
    result.add("embedded trajectory", _values(kinds), len(kinds) > 1)
    if set(count.dimensions) == {0} and len(count.angles) > 1:
        result.add("user_float[0]", "differs between spokes; if it is the angle in radians, set trajectory=angle", True)


def _describe_header(result: Examination, header: ScanHeader, count: ReadoutCount) -> None:
    x, y, _ = header.recon_matrix
    fov_x, fov_y, thickness = header.recon_fov_mm
    result.add("protocol", header.protocol or "no name")
    result.add("matrix", f"{x} × {y} pixels of {fov_x / x:.3g} × {fov_y / y:.3g} mm")
    result.add("field of view", f"{fov_x:g} × {fov_y:g} mm, slices of {thickness:g} mm")
    encoded, fov = header.encoded_matrix[0], header.encoded_fov_mm[0]
    result.add("readout oversampling", f"{header.oversampling:g} ({encoded} samples over {fov:g} mm)")
    result.add("trajectory by the header", header.trajectory or "not given", not header.trajectory)
    if header.n_slices != len(count.spokes):
        result.add("slices by the header", f"{header.n_slices}, and the readouts have {len(count.spokes)}", True)
    coils = {coils for coils, _ in count.shapes}
    if header.n_channels and coils and coils != {header.n_channels}:
        result.add("channels by the header", str(header.n_channels), True)
    if header.n_encodings > 1:
        result.add("encodings", f"{header.n_encodings}; the first spoke names number {header.encoding + 1}")
    main = main_field(header)
    result.add("main field", f"{main.tesla:.4g} T ({main.source})", bool(main.warning))


def _describe_sequence(result: Examination, header: ScanHeader, selection: Selection) -> ScanSequence:
    found = sequence_from_header(header, selection.settings.sequence)
    sequence = found.sequence
    echoes = len(sequence.echo_times_ms)
    words = (
        f"{sequence.name} ({found.source}): {len(sequence)} spokes in {sequence.n_frames} frames, {echoes} echo "
        f"time{'s' * (echoes > 1)}, {sequence.spoiling} spoiling"
    )
    result.add("sequence", words, bool(found.warnings))
    return found


def _title(selection: Selection) -> str:
    model = PIPELINES[selection.name].model
    return f"maps of {model.title}" if model else "maps of its own"


def _conjugation(provenance: Mapping[str, str], selection: Selection, foreground: int) -> str:
    """What `ConjugationCheck` decided, or why it did not."""
    if "conjugation" in provenance:
        return provenance["conjugation"]
    model = PIPELINES[selection.name].model
    if model is not WATER_FAT or selection.settings.conjugate != "auto":
        return "not checked: the signals of T1 and T2 are real" if model is not WATER_FAT else "not checked, as set"
    if foreground < FEWEST_VOXELS:
        return "not checked: too little tissue"
    return "no sign of complex conjugates"


def _command(path: Path, pipeline: str, options: Mapping[str, Any]) -> str:
    """The command line of `replay` with all options."""
    words = ["spokestream", "replay", str(path), "-o", "maps", "--pipeline", pipeline]
    words += [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
    return shlex.join(words)


def _values(counts: Mapping[Any, int]) -> str:
    """Values with how often each occurs, most frequent first; a value alone stands without its number."""
    ordered = sorted(counts.items(), key=lambda one: -one[1])

    def text(value: Any) -> str:
        return f"{value:g}" if isinstance(value, float) else str(value)

    if len(ordered) == 1:
        return text(ordered[0][0])
    shown = ", ".join(f"{text(value)} ({n} times)" for value, n in ordered[:4])
    return shown + (f" and {len(ordered) - 4} others" if len(ordered) > 4 else "")
