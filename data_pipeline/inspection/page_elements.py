"""Elements of a page: boxes, tables, figures, and how they become HTML."""

import base64
import html
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement

from data_pipeline.inspection import charts

# Characters from which on a cell may be broken anywhere.
LONG_CELL = 18
# Elements that hold nothing and are not closed.
_VOID = frozenset(("img", "meta"))


def add(parent: Element, tag: str, text: str = "", *, cls: str = "", **attributes: str) -> Element:
    """Adds an element to another.

    Args:
        parent: the other.
        tag: its name.
        text: in it, as a reader sees it.
        cls: its class, for the style.
        attributes: others.
    """
    element = SubElement(parent, tag, attributes)
    if cls:
        element.set("class", cls)
    if text:
        element.text = text
    return element


def as_html(element: Element) -> str:
    """An element with all that is in it. All text is escaped but that of a style, which is ours."""
    attributes = "".join(f' {name}="{html.escape(text)}"' for name, text in element.items())
    if element.tag in _VOID:
        return f"<{element.tag}{attributes}>"
    text = element.text or ""
    inside = [text if element.tag == "style" else html.escape(text), *map(as_html, element)]
    return f"<{element.tag}{attributes}>{''.join(inside)}</{element.tag}>"


def add_matrix(section: Element, drawn: bytes, what: str) -> None:
    """A matrix at its own size, in a box that scrolls; a table of the most frequent follows."""
    scroll = add_scroll(section, f"matrix of {what}")
    alternative = f"Matrix of {what} as colours; the most frequent pairs are in the table below."
    add(scroll, "img", src=data_url("image/svg+xml", drawn), alt=alternative, cls="matrix")


def add_figure(parent: Element, drawn: bytes, alternative: str, caption: str = "") -> None:
    """A chart (SVG), no wider than the page, and the same in words."""
    figure = add(parent, "figure")
    add(figure, "img", src=data_url("image/svg+xml", drawn), alt=alternative)
    if caption:
        add(figure, "figcaption", caption)


def add_table(parent: Element, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table in a box that scrolls if it is large."""
    table = add(add_scroll(parent, ", ".join(header)), "table")
    titles = add(add(table, "thead"), "tr")
    for title in header:
        add(titles, "th", title, scope="col")
    lines = add(table, "tbody")
    for cells in rows:
        line = add(lines, "tr")
        for cell in cells:
            add(line, "td", cell, cls="long" if len(cell) > LONG_CELL else "")


def add_scroll(parent: Element, label: str) -> Element:
    """A box that scrolls by itself, also with the keyboard."""
    box = SubElement(parent, "div", {"role": "region", "tabindex": "0", "aria-label": label})
    box.set("class", "scroll")
    return box


def colour(number: int) -> str:
    """Of a split, as in the charts."""
    return charts.COLOURS[number % len(charts.COLOURS)]


def data_url(kind: str, content: bytes) -> str:
    """A file as an address that holds the whole of it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
