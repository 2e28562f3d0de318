"""Print which packages an environment has, of which versions and under which licences: a bill of materials.

    python tools/sbom.py > sbom.cdx.json

The environment is the one whose Python runs this. The form is CycloneDX 1.6 in JSON, which scanners of vulnerabilities
read. The same environment gives the same text.
"""

import json
import re
import sys
import uuid
from importlib.metadata import Distribution, PackageMetadata, distributions
from typing import Any
from urllib.parse import quote

PRODUCT = "spokestream"
LONGEST_NAME = 100
"""Characters of a licence's name; a longer text in that field is the licence itself, of which the first line counts."""
REQUIREMENT = re.compile(r"[\w.-]+")


def bill_of_materials() -> dict[str, Any]:
    """The packages of this environment as CycloneDX, sorted by name."""
    found = {_normal(d.metadata["Name"]): d for d in distributions()}
    components = {name: _component(name, found[name]) for name in sorted(found)}
    product = components.pop(PRODUCT, {"type": "application", "name": PRODUCT, "bom-ref": PRODUCT})
    contents = json.dumps([product, *components.values()], sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, contents)}",
        "version": 1,
        "metadata": {"component": {**product, "type": "application"}},
        "components": list(components.values()),
        "dependencies": [
            {"ref": _reference(name, found[name]), "dependsOn": _needed(found[name], found)} for name in sorted(found)
        ],
    }


def _component(name: str, distribution: Distribution) -> dict[str, Any]:
    reference = _reference(name, distribution)
    licences = _licences(distribution.metadata)
    return {
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": distribution.version,
        "purl": reference,
        **({"licenses": licences} if licences else {}),
    }


def _licences(metadata: PackageMetadata) -> list[dict[str, Any]]:
    """The licences as the package declares them: an expression, or classifiers, or a text."""
    if expression := metadata.get("License-Expression"):
        return [{"expression": expression}]
    classifiers = [c for c in metadata.get_all("Classifier") or () if c.startswith("License :: ")]
    names = [classifier.rpartition(" :: ")[2] for classifier in classifiers]
    names = [name for name in names if name != "OSI Approved"]
    if not names and (text := (metadata.get("License") or "").strip()):
        names = [text.splitlines()[0][:LONGEST_NAME]]
    return [{"license": {"name": name}} for name in names]


def _needed(distribution: Distribution, found: dict[str, Distribution]) -> list[str]:
    """Those packages of the environment that this one names among its requirements, the optional ones included."""
    requirements = (REQUIREMENT.match(text) for text in distribution.requires or ())
    names = {_normal(match[0]) for match in requirements if match}
    return [_reference(name, found[name]) for name in sorted(names & found.keys())]


def _reference(name: str, distribution: Distribution) -> str:
    return f"pkg:pypi/{name}@{quote(distribution.version)}"


def _normal(name: str) -> str:
    """The name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    json.dump(bill_of_materials(), sys.stdout, indent=1)
    sys.stdout.write("\n")
