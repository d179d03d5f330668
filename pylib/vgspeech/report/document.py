"""The frame of every page of the report: style and script inside, sections with links to them, nothing from a network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from vgspeech.report.html import Section, text

SYNTHETIC = (
    '<p class="synthetic">The <b>mini corpus is synthetic</b>: drawn scenes and computer voices. This page shows that '
    "everything works and what the output looks like; it says nothing about accuracy on real speech.</p>"
)
SILENT = "<p>Recordings were left out of this page (<code>--no-audio</code>).</p>"


def document(title: str, header: str, sections: Sequence[Section], footer: str) -> str:
    """A whole page.

    Args:
        title: of the browser's window.
        header, footer: HTML, see `heading`.
        sections: in their order.
    """
    files = resources.files("vgspeech.report")
    style, script = ((files / name).read_text("utf-8") for name in ("style.css", "script.js"))
    links = "".join(f'<a href="#{text(section.anchor)}">{text(section.title)}</a>' for section in sections)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)} · vgspeech</title>
<style>
{style}</style></head>
<body>
<header>
{header}
</header>
<nav><div>{links}</div></nav>
<main>
{"".join(section.html() for section in sections)}
</main>
<footer>{footer}</footer>
<script>
{script}</script>
</body></html>
"""


def heading(kind: str, name: str, about: str) -> str:
    """The top of a page: what kind of page it is, its name, and a line of HTML about it."""
    return f'<p class="kind">{text(kind)}</p><h1>{text(name)}</h1>\n<p class="about">{about}</p>'
