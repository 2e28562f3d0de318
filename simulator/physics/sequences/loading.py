"""Sequences by name or from a file: the presets that come with the package, TOML, Pulseq."""

from importlib.resources import files
from pathlib import Path

from spokestream.errors import FileError, InputError
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.sequences.pulseq import sequence_from_pulseq
from spokestream.simulator.physics.sequences.toml_file import sequence_fields

__all__ = ["load_sequence", "preset_names"]

PRESETS = files("spokestream.simulator.physics.sequences") / "presets"
"""The folder of the presets, with one TOML file for each sequence."""


def preset_names() -> list[str]:
    """Names of the sequences that come with the package."""
    return sorted(f.name.removesuffix(".toml") for f in PRESETS.iterdir() if f.name.endswith(".toml"))


def load_sequence(name_or_path: str | Path) -> PulseSequence:
    """Load a preset by its name, or a TOML file (.toml) or a Pulseq file (.seq) by its path.

    Raises InputError, which lists the known presets, for an unknown name, and FileError, which says what is wrong, for
    a file that cannot be used.
    """
    text = str(name_or_path)
    if text.endswith(".seq"):
        return sequence_from_pulseq(Path(text))
    if text.endswith(".toml"):
        source = Path(text)
        if not source.is_file():
            raise FileError(f"There is no sequence file {text}.")
        return _from_toml(source.stem, source.read_bytes())
    if text not in preset_names():
        raise InputError(f"There is no sequence preset '{text[:64]}'; known are {', '.join(preset_names())}.")
    return _from_toml(text, (PRESETS / f"{text}.toml").read_bytes())


def _from_toml(name: str, data: bytes) -> PulseSequence:
    try:
        return PulseSequence(name=name, **sequence_fields(data))
    except KeyError as error:
        raise FileError(f"The sequence '{name}' lacks {error}.") from None
    except (FileError, InputError) as error:
        raise FileError(f"The sequence '{name}' cannot be read: {error}.") from None
