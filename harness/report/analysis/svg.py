"""A figure as SVG within a page: it takes the page's font and colours, and tells its figures to whoever points at them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from harness.report.analysis.words import said

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
POINTED = "tip-"
COLOUR = re.compile(r"#([0-9a-fA-F]{6})")
REFERENCE = re.compile(r"#([\w-]+)")


def inline(figure: Figure, name: str) -> str:
    """An `svg` element without a size; `name` keeps its ids apart from those of the page's other pictures.

    Black becomes the page's own colour of text, and any other colour #RRGGBB the custom property `--c-RRGGBB` where the page
    has one, so that a dark page can lighten it.
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
    for tag in ("metadata", "defs"):  # of the document; its one style would hold for the whole page
        for each in root.findall(f"{{{SVG}}}{tag}"):
            if tag == "metadata" or each.find(f"{{{SVG}}}style") is not None:
                root.remove(each)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    for pointed, words in tips.items():
        _point(root, pointed, words)
    _rename(root, name)
    root.set("role", "img")
    root.set("aria-label", " ".join(said(figure)))
    return _recolour(ElementTree.tostring(root, encoding="unicode"))


def _artists(figure: Figure) -> Iterator[Artist]:
    for axes in figure.axes:
        yield from axes.get_children()


def _point(root: ElementTree.Element, name: str, words: tuple[str, ...]) -> None:
    """Titles, which browsers show on hovering, for what was drawn of one artist: each of its points in turn, or
    all of it.
    """
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
    """Keep only the ids that are referred to, and make them this picture's own."""
    used = set()
    for each in root.iter():
        for key, value in each.attrib.items():
            if key != "id" and not key.startswith("aria"):
                used.update(REFERENCE.findall(value))
    for each in root.iter():
        own = each.attrib.pop("id", None)
        if own in used:
            each.set("id", f"{name}-{own}")
        for key, value in list(each.attrib.items()):
            if "#" in value and (key.endswith("href") or "url(" in value):
                each.set(
                    key, REFERENCE.sub(lambda found: _prefixed(found.group(1), name, used), value)
                )


def _prefixed(reference: str, name: str, used: set[str]) -> str:
    return (
        f"#{name}-{reference}"
        if reference in used and not COLOUR.fullmatch(f"#{reference}")
        else f"#{reference}"
    )


def _recolour(text: str) -> str:
    def colour(found: re.Match[str]) -> str:
        value = found.group(1).lower()
        return "currentColor" if value == "000000" else f"var(--c-{value}, #{value})"

    return re.sub(r"(?<=: )#([0-9a-fA-F]{6})\b", colour, text)
