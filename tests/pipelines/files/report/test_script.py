"""Several modules become one script."""

import pytest

from spokestream.pipelines.files.report.page import SCRIPTS
from spokestream.pipelines.files.report.script import joined


def test_modules_come_once_and_before_what_needs_them(tmp_path):
    texts = {
        "top.js": 'import { a } from "/a.js";\nimport { b } from "/b.js";\nrun(a, b);\n',
        "a.js": 'import { c } from "/c.js";\n\nexport const a = c;\n',
        "b.js": 'import { c } from "/c.js";\n\nexport async function b() {}\n',
        "c.js": "export const c = 1;\n",
        "other.js": "never();\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    files = {name: tmp_path / name for name in texts}
    lines = [line for line in joined(files, "top.js").splitlines() if line]
    assert lines == ["const c = 1;", "const a = c;", "async function b() {}", "run(a, b);"]
    with pytest.raises(KeyError, match=r"a\.js"):
        joined({"top.js": tmp_path / "top.js"}, "top.js")


def test_the_script_of_the_page_imports_and_fetches_nothing():
    text = joined(SCRIPTS, "report.js")
    assert "import" not in text
    assert "export" not in text
    assert "fetch" not in text
    assert "</script" not in text
    assert "innerHTML" not in text
