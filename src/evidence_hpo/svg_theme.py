"""Figures for light and dark: matplotlib's SVG, and a style sheet that turns its colours where a reader wants dark."""

from __future__ import annotations

__all__ = ["DARK", "themed"]

DARK = {
    "#ffffff": "#14181d",  # paper
    "#000000": "#e6eaee",  # ink
    "#1f2933": "#e6eaee",
    "#555555": "#aab4be",  # quiet ink, axes
    "#dddddd": "#343c45",  # grid
    "#eeeeee": "#262d35",
    "#9aa5b1": "#6b7783",  # arrows
    "#eef4fb": "#1c2a38",  # boxes
    "#31688e": "#6fa8d6",
    "#0072b2": "#4aa3df",  # blue, too dark on dark paper
}
"""Colours that change, and what they become. What has to stay as it is, as text on a coloured field, must differ."""


def themed(svg: str) -> str:
    """Return the SVG with its dark colours; ``svg`` is as matplotlib writes it, with colours as inline styles."""
    rules = [f"svg{{fill:{DARK['#000000']}}}"]  # text that is black has no style of its own
    for light, dark in DARK.items():
        rules += [f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}' for kind in ("fill", "stroke")]
    style = f"<style>@media (prefers-color-scheme: dark){{{''.join(rules)}}}</style>"
    head, found, rest = svg.partition("<defs>")
    return f"{head}{found}{style}{rest}"
