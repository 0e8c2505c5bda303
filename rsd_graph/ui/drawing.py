"""The state machine as a small picture, whose nodes light up."""

from collections.abc import Iterable, Mapping
from typing import Any

START, END = "__start__", "__end__"
WIDTH, HEIGHT = 84, 34
PLACES = {
    "draft": (70, 80),
    "score": (200, 80),
    "target": (330, 30),
    "check": (460, 80),
    "review": (330, 130),
    "tool": (460, 150),
}
"""Middles of the boxes."""
PATHS = {
    (START, "draft"): "M14,80 L26,80",
    ("draft", "score"): "M112,80 L156,80",
    ("score", "check"): "M242,80 L416,80",
    ("score", "target"): "M242,72 C262,62 264,36 286,32",
    ("target", "check"): "M372,32 C400,36 408,60 426,63",
    ("check", "draft"): "M460,63 C460,-42 70,-42 70,61",
    ("check", END): "M502,80 L528,80",
    ("check", "tool"): "M454,97 L454,131",
    ("tool", "check"): "M466,133 L466,99",
    ("target", "score"): "M302,47 C286,62 266,70 244,77",
    ("score", "review"): "M242,88 C262,98 264,128 286,130",
    ("target", "review"): "M326,47 L326,111",
    ("review", "target"): "M334,113 L334,49",
    ("review", "check"): "M372,130 C400,128 408,100 426,97",
    ("review", "draft"): "M300,147 C240,172 120,172 76,99",
}
"""How each edge runs."""

WITH_REVIEW = [edge for edge in PATHS if "review" in edge] + [("target", "score")]
WITH_TOOLS = [edge for edge in PATHS if "tool" in edge]


def edges_of(edges: Iterable[tuple[str, str]], settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The edges of the graph, and those that a run with these settings takes besides."""
    reviewed = settings.get("review", "off") != "off" or settings.get("interrupt_below") is not None
    more = (WITH_REVIEW if reviewed else []) + (WITH_TOOLS if settings.get("tools", "off") != "off" else [])
    return list(dict.fromkeys([*edges, *more]))


def drawing(edges: Iterable[tuple[str, str]], active: str | None) -> str:
    """The picture as SVG: the nodes that these edges join, the one that works now marked as `active`."""
    drawn = [edge for edge in edges if edge in PATHS]
    names = [name for name in PLACES if any(name in edge for edge in drawn)]
    lines = "".join(f'<path class="edge" d="{PATHS[edge]}" marker-end="url(#tip)"/>' for edge in drawn)
    boxes = "".join(_box(name, name == active) for name in names)
    height = 205 if {"review", "tool"} & set(names) else 150
    doing = f"{active} works" if active else "nothing works"
    return (
        f'<svg class="machine" viewBox="0 -22 545 {height - 8}" role="img" aria-label="The state machine: {doing}">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="tip" d="M0,0 L8,4 L0,8 z"/></marker></defs>'
        f'{lines}<circle class="end" cx="9" cy="80" r="5"/><circle class="end" cx="535" cy="80" r="5"/>{boxes}</svg>'
    )


def _box(name: str, is_active: bool) -> str:
    x, y = PLACES[name]
    corner = f'x="{x - WIDTH // 2}" y="{y - HEIGHT // 2}" width="{WIDTH}" height="{HEIGHT}" rx="9"'
    kind = f"node {name}{' active' if is_active else ''}"
    return f'<g class="{kind}"><rect {corner}/><text x="{x}" y="{y + 5}">{name}</text></g>'
