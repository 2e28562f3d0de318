"""Check files before they are committed: their size, the syntax of TOML, and the last line of texts.

    python tools/check_files.py FILE ...

Every problem is printed on a line of its own; the exit code is 1 if there is any.
"""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

LARGEST = 500_000
"""Bytes of a file; the archives of trained networks may be larger."""
BINARY = (".pt", ".png", ".jpg")


def problems(path: Path) -> Iterator[str]:
    """What is wrong with a file, one sentence for each problem."""
    data = path.read_bytes()
    if len(data) > LARGEST and path.suffix != ".pt":
        yield f"{path} has {len(data):,} bytes, more than {LARGEST:,}."
    if path.suffix in BINARY or not data:
        return
    if not data.endswith(b"\n") or data.endswith(b"\n\n"):
        yield f"{path} does not end with exactly one newline."
    if path.suffix == ".toml":
        try:
            tomllib.loads(data.decode())
        except ValueError as error:  # also of the encoding
            yield f"{path} is not valid TOML: {error}."


if __name__ == "__main__":
    found = [problem for name in sys.argv[1:] for problem in problems(Path(name))]
    sys.stdout.writelines(f"{problem}\n" for problem in found)
    sys.exit(bool(found))
