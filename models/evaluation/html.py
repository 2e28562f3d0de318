"""The parts of a report in HTML: one page that needs no other file."""

import base64
import io
from collections.abc import Iterable
from html import escape

from matplotlib.figure import Figure

__all__ = ["figure", "page", "png", "table"]

DPI = 130
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #22222a; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; margin: 2rem 0 .6rem; } h2 { border-top: 2px solid #22222a; padding-top: .8rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0 1.4rem; }
th, td { padding: .2rem .9rem .2rem 0; text-align: right; border-bottom: 1px solid #e4e4ea; white-space: nowrap; }
th:first-child, td:first-child, td.text { text-align: left; } caption { text-align: left; color: #66666e; }
.worse { color: #b03024; } .paper, .note { color: #8a8a94; font-size: .85em; } figure { margin: 1rem 0 2rem; }
img { max-width: 100%; } pre { background: #f5f5f8; padding: .8rem; overflow-x: auto; font-size: 12px; }
"""


def page(title: str, body: str) -> str:
    """A page with a title, given as text, and a body in HTML."""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def table(caption: str, heads: Iterable[str], rows: Iterable[str]) -> str:
    """A table with a caption and headings, given as texts, and rows, given as cells in HTML."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def figure(name: str, caption: str, picture: bytes) -> str:
    """A picture, given as PNG, inside the page."""
    data = base64.b64encode(picture).decode()
    return (
        f'<figure><img alt="{escape(name)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def png(drawn: Figure) -> bytes:
    """A figure as PNG."""
    file = io.BytesIO()
    drawn.savefig(file, format="png", dpi=DPI)
    return file.getvalue()
