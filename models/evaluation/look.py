"""The look of the reports of evaluations and studies."""

import io

from matplotlib.figure import Figure

__all__ = ["STYLE", "png"]

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


def png(drawn: Figure) -> bytes:
    """A figure as PNG."""
    file = io.BytesIO()
    drawn.savefig(file, format="png", dpi=DPI)
    return file.getvalue()
