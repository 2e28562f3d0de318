"""Sequences by name or from a file: the presets that come with the package, TOML, Pulseq."""

from importlib.resources import files
from pathlib import Path

from simulator.pulseq import sequence_from_pulseq
from simulator.sequence import Sequence
from simulator.sequence_file import sequence_fields

__all__ = ["load_sequence", "preset_names"]


def preset_names() -> list[str]:
    """Names of the sequences that come with the package."""
    return sorted(
        f.name.removesuffix(".toml") for f in files("simulator.sequences").iterdir() if f.name.endswith(".toml")
    )


def load_sequence(name_or_path: str | Path) -> Sequence:
    """A preset by name, or by path a TOML file of the same form (.toml) or a Pulseq file (.seq).

    Raises ValueError naming the known presets, or what is wrong with the file.
    """
    text = str(name_or_path)
    if text.endswith(".seq"):
        return sequence_from_pulseq(Path(text))
    if text.endswith(".toml"):
        source = Path(text)
        if not source.is_file():
            raise ValueError(f"There is no sequence file {text}.")
        return _from_toml(source.stem, source.read_bytes())
    if text not in preset_names():
        raise ValueError(f"There is no sequence preset '{text[:64]}'; known are {', '.join(preset_names())}.")
    return _from_toml(text, (files("simulator.sequences") / f"{text}.toml").read_bytes())


def _from_toml(name: str, data: bytes) -> Sequence:
    try:
        return Sequence(name=name, **sequence_fields(data))
    except KeyError as error:
        raise ValueError(f"The sequence '{name}' lacks {error}.") from None
    except ValueError as error:
        raise ValueError(f"The sequence '{name}' cannot be read: {error}.") from None
