"""The example of the page finds the disc that it measured."""

import re
from pathlib import Path

import torch

PAGE = Path(__file__).parents[3] / "docs" / "restoration.md"


def test_the_page_s_python_finds_its_disc():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    names = {}
    exec(code, names)
    found, truth = names["images"], names["contrast"] * names["disc"]
    assert len(names["costs"]) == 50
    assert names["costs"][-1] < names["costs"][0] / 100
    norms = torch.linalg.vector_norm(found) * torch.linalg.vector_norm(truth)
    assert torch.vdot(truth.flatten() + 0j, found.flatten()).real > 0.99 * norms
