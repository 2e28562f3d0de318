"""The report of a study: a page, the same as Markdown, and its figures."""

import shlex
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from spokestream.html_parts import figure, page, table
from spokestream.models.evaluation.look import STYLE, png
from spokestream.pipelines.studies.study import Report, Study, Table
from spokestream.whole_files import whole_file

__all__ = ["markdown", "write_study"]


def write_study(folder: Path, study: Study, found: Mapping[str, Any]) -> Report:
    """Write `report.html`, `study.md` and the figures `figure-N.png`; returns what they show.

    Args:
        folder: where to write.
        study: the study.
        found: what `run_study` returned.

    Raises FileError when the folder cannot be written.

    """
    report = study.report(study.scales[found["scale"]], found["results"])
    pictures = {caption: png(drawn) for caption, drawn in report.figures.items()}
    for number, picture in enumerate(pictures.values(), start=1):
        with whole_file(folder / f"figure-{number}.png") as draft:
            draft.write_bytes(picture)
    for name, text in (("study.md", markdown(study, found)), ("report.html", _html(study, found, report, pictures))):
        with whole_file(folder / name) as draft:
            draft.write_text(text, "utf-8")
    return report


def markdown(study: Study, found: Mapping[str, Any]) -> str:
    """The tables and claims of a study as Markdown, with its command and time."""
    report = study.report(study.scales[found["scale"]], found["results"])
    parts = [study.setting, f"```sh\n{_command(found)}\n```", _run(found)]
    parts += [_markdown_table(shown) for shown in report.tables]
    parts += [_markdown_table(_claims(report))] if report.claims else []
    return "\n\n".join(parts) + "\n"


def _command(found: Mapping[str, Any]) -> str:
    scale, seed = (shlex.quote(str(found[key])) for key in ("scale", "seed"))
    return f"spokestream study {found['study']} --scale {scale} --seed {seed}"


def _run(found: Mapping[str, Any]) -> str:
    sizes = ", ".join(f"{name.replace('_', ' ')} {_size(value)}" for name, value in found["sizes"].items())
    return (
        f"{found['seconds'] / 60:.0f} minutes with {found['threads']} threads on {found['cpus']} x "
        f"{found['processor']}, spokestream {found['software']}, torch {found['torch']}. Sizes: {sizes}."
    )


def _size(value: Any) -> str:
    return (
        ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
        if isinstance(value, list)
        else str(value)
    )


def _claims(report: Report) -> Table:
    rows = [(claim.text, "yes" if claim.holds else "no", claim.found) for claim in report.claims]
    return Table("Statements of the paper", ("statement", "holds here", "found"), rows)


def _markdown_table(shown: Table) -> str:
    def row(cells: Any) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    lines = [row(shown.heads), row(["---"] + ["---:"] * (len(shown.heads) - 1)), *map(row, shown.rows)]
    return f"**{shown.caption}**\n\n" + "\n".join(lines)


def _html(study: Study, found: Mapping[str, Any], report: Report, pictures: Mapping[str, bytes]) -> str:
    tables = [*report.tables, *([_claims(report)] if report.claims else [])]
    body = [f"<p>{escape(study.setting)}</p><pre>{escape(_command(found))}</pre>"]
    body += [
        table(t.caption, t.heads, ["".join(f"<td>{escape(c)}</td>" for c in row) for row in t.rows]) for t in tables
    ]
    body += [figure(caption, caption, picture) for caption, picture in pictures.items()]
    body.append(f'<p class="note">{escape(_run(found))}</p>')
    return page(study.paper, "".join(body), STYLE)
