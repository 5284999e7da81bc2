"""A picture of a pipeline: its nodes from left to right, in the order they can run."""

from collections.abc import Iterator
from html import escape

from kedro.pipeline import Pipeline

PICTURE = "pipeline.svg"
"""The artifact."""

_WIDTH, _HEIGHT = 150, 34  # of a node, in pixels
_GAP, _ROW = 60, 52  # between columns, and from row to row
_SHOWN = 20  # characters of a name
_MOST = 60  # nodes; more than that are no picture

_STYLE = (
    "text{font:13px sans-serif;fill:#11171c;text-anchor:middle}"
    "rect{fill:#f3f8fd;stroke:#2272b4}path{fill:none;stroke:#8fa5b8}"
)


def picture(pipeline: Pipeline) -> str:
    """Return a pipeline as SVG; empty if it has too many nodes for a picture."""
    if len(pipeline.nodes) > _MOST:
        return ""
    columns = pipeline.grouped_nodes
    at = {
        node.name: (column * (_WIDTH + _GAP) + 10, row * _ROW + 10)
        for column, nodes in enumerate(columns)
        for row, node in enumerate(nodes)
    }
    width = len(columns) * (_WIDTH + _GAP) - _GAP + 20
    height = max(map(len, columns), default=1) * _ROW + 4
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>']
    lines += [f"<style>{_STYLE}</style>", *_edges(pipeline, at), *_boxes(at)]
    return "\n".join([*lines, "</svg>", ""])


def _edges(pipeline: Pipeline, at: dict[str, tuple[int, int]]) -> Iterator[str]:
    for node, parents in pipeline.node_dependencies.items():
        x2, y2 = at[node.name]
        for parent in sorted(parents):
            x1, y1 = at[parent.name]
            x1, y, to = x1 + _WIDTH, y1 + _HEIGHT // 2, y2 + _HEIGHT // 2
            bend = (x1 + x2) // 2
            yield f'<path d="M{x1} {y}C{bend} {y} {bend} {to} {x2} {to}"/>'


def _boxes(at: dict[str, tuple[int, int]]) -> Iterator[str]:
    for name, (x, y) in at.items():
        shown = name if len(name) <= _SHOWN else name[: _SHOWN - 1] + "…"
        middle = f'x="{x + _WIDTH // 2}" y="{y + 22}"'
        box = f'x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="4"'
        title = f"<title>{escape(name)}</title>"
        yield f"<g>{title}<rect {box}/><text {middle}>{escape(shown)}</text></g>"
