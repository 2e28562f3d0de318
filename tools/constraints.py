"""Write `constraints.txt`: the exact version of every package that an environment made by `make` contains.

    python tools/constraints.py

The script starts at the dependencies of the project and of its extra `dev`, and follows the metadata of the packages
that are installed beside it. Other packages in the same environment are left out.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "constraints.txt"


def constraints() -> str:
    """One line `name==version` for each package, sorted by name.

    Raises PackageNotFoundError for a dependency that is not installed.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    waiting = [Requirement(text) for text in [*project["dependencies"], *extras["dev"]]]
    versions: dict[str, str] = {}
    followed: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = _normal(requirement.name)
        for extra in {"", *requirement.extras} - {extra for package, extra in followed if package == name}:
            followed.add((name, extra))
            if name == project["name"]:
                waiting.extend(Requirement(text) for text in extras.get(extra, ()))
                continue
            installed = distribution(name)
            # torch comes as a build for one kind of processor, `2.13.0+cpu`; its release is what others can install
            versions[name] = installed.version.partition("+")[0]
            waiting.extend(_needed(installed.requires or (), extra))
    return "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))


def _needed(requirements: Iterable[str], extra: str) -> Iterator[Requirement]:
    """The requirements that apply to this machine when a package is installed with this extra."""
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _normal(name: str) -> str:
    """The name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    PAGE.write_text(constraints())
