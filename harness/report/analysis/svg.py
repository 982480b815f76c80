"""A figure as SVG within a page, with the page's font and colours, and a tooltip for each mark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from harness.report.analysis.captions import said

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
POINTED = "tip-"
COLOUR = re.compile(r"#([0-9a-fA-F]{6})")
REFERENCE = re.compile(r"#([\w-]+)")


def inline(figure: Figure, name: str) -> str:
    """Return an `svg` element without a size; `name` makes its ids unique within the page.

    Black becomes the page's text colour. Any other colour #RRGGBB becomes the custom property
    `--c-RRGGBB` where the page defines one, so that a dark page can lighten it.
    """
    tips = {}
    for number, artist in enumerate(_artists(figure)):
        if words := said(artist):
            artist.set_gid(f"{POINTED}{number}")
            tips[f"{POINTED}{number}"] = words
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    for prefix, space in (("", SVG), ("xlink", XLINK)):
        ElementTree.register_namespace(prefix, space)
    root = ElementTree.fromstring(out.getvalue())
    # The one style of the document would apply to the whole page.
    for tag in ("metadata", "defs"):
        for element in root.findall(f"{{{SVG}}}{tag}"):
            if tag == "metadata" or element.find(f"{{{SVG}}}style") is not None:
                root.remove(element)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    for pointed, words in tips.items():
        _point(root, pointed, words)
    for link in root.iter(f"{{{SVG}}}a"):
        link.set("tabindex", "-1")  # a picture is one thing to a keyboard and a screen reader
    _rename(root, name)
    root.set("role", "img")
    root.set("aria-label", " ".join(said(figure)))
    return _recolour(ElementTree.tostring(root, encoding="unicode"))


def _artists(figure: Figure) -> Iterator[Artist]:
    for axes in figure.axes:
        yield from axes.get_children()


def _point(root: ElementTree.Element, name: str, words: tuple[str, ...]) -> None:
    """Add titles, which browsers show on hovering, to each point of an artist or to all of it."""
    for group in root.iter(f"{{{SVG}}}g"):
        if group.get("id") != name:
            continue
        points = list(group.iter(f"{{{SVG}}}use"))
        parts = points if len(points) == len(words) else [group]
        for part, text in zip(parts, words, strict=False):
            title = ElementTree.Element(f"{{{SVG}}}title")
            title.text = text
            part.insert(0, title)
            part.set("class", "tip")


def _rename(root: ElementTree.Element, name: str) -> None:
    """Keep only the ids that something refers to, and make them unique to this picture."""
    used = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            if key != "id" and not key.startswith("aria"):
                used.update(REFERENCE.findall(value))
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in used:
            element.set("id", f"{name}-{own}")
        for key, value in list(element.attrib.items()):
            if "#" in value and (key.endswith("href") or "url(" in value):
                element.set(
                    key, REFERENCE.sub(lambda match: _prefixed(match.group(1), name, used), value)
                )


def _prefixed(reference: str, name: str, used: set[str]) -> str:
    return (
        f"#{name}-{reference}"
        if reference in used and not COLOUR.fullmatch(f"#{reference}")
        else f"#{reference}"
    )


def _recolour(text: str) -> str:
    def colour(match: re.Match[str]) -> str:
        value = match.group(1).lower()
        return "currentColor" if value == "000000" else f"var(--c-{value}, #{value})"

    return re.sub(r"(?<=: )#([0-9a-fA-F]{6})\b", colour, text)
