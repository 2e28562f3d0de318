"""Parts of an HTML page that needs no other file: the page itself, its tables and its pictures."""

import base64
from collections.abc import Iterable
from hashlib import sha256
from html import escape

__all__ = ["figure", "page", "table"]


def page(title: str, body: str, style: str, script: str = "") -> str:
    """A page whose policy lets the browser load nothing and run no other script than the given one.

    Args:
        title: the title as text; the body does not repeat it.
        body: the body in HTML.
        style: the style sheet.
        script: a JavaScript module; empty for none.

    """
    scripts = _digest(script) if script else "'none'"
    policy = f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {scripts}"
    module = f'<script type="module">{script}</script>' if script else ""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{style}</style></head>'
        f"<body><h1>{escape(title)}</h1>{body}{module}</body></html>\n"
    )


def table(caption: str, heads: Iterable[str], rows: Iterable[str]) -> str:
    """A table with a caption and headings, given as texts, and rows, given as cells in HTML."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def figure(name: str, caption: str, picture: bytes) -> str:
    """A picture, given as PNG, inside the page."""
    data = base64.b64encode(picture).decode()
    return (
        f'<figure><img alt="{escape(name)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _digest(text: str) -> str:
    """The source of a policy that allows this text alone."""
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
