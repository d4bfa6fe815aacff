"""The job graph as Snakemake prints it: read, folded to what a person can follow, and drawn."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import networkx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from evidence_hpo.files import write_text
from evidence_hpo.svg_theme import themed

__all__ = ["Job", "by_rule", "by_stage", "draw_graph", "fold_graph", "read_job_graph"]

_NODE = re.compile(r'^\s*(\d+)\[label = "([^"]*)"')
_EDGE = re.compile(r"^\s*(\d+) -> (\d+)")

COLUMN, ROW = 1.75, 0.85
"""Inches from box to box."""
HALF_BOX = (0.43, 0.29)
"""Half of a box, in columns and rows."""
BENDS = (0.0, *(sign * step / 10 for step in range(1, 8) for sign in (1, -1)))

STAGE_RULES = frozenset({"define_space", "narrow_space", "propose_trials", "run_trials", "collect_trials"})


@dataclass(frozen=True)
class Job:
    """A job of the graph.

    Attributes:
        rule: Name of its rule.
        wildcards: Those wildcards that none of the jobs it depends on has with the same value.
    """

    rule: str
    wildcards: dict[str, str] = field(default_factory=dict, hash=False)


def read_job_graph(dot: str) -> networkx.DiGraph[int]:
    """Return the graph that ``snakemake --dag`` prints; each node holds its :class:`Job` under ``job``.

    An edge leads from a job to one that depends on it.
    """
    graph: networkx.DiGraph[int] = networkx.DiGraph()
    for line in dot.splitlines():
        if node := _NODE.match(line):
            rule, *labels = node.group(2).split("\\n")
            wildcards = dict(label.split(": ", 1) for label in labels)
            graph.add_node(int(node.group(1)), job=Job(rule, wildcards))
        elif edge := _EDGE.match(line):
            graph.add_edge(int(edge.group(1)), int(edge.group(2)))
    return graph


Key = tuple[str, ...]
Place = tuple[float, float]
"""Column and row of a box's middle."""


def by_rule(graph: networkx.DiGraph[int]) -> Callable[[int], Key]:
    """Return the key that folds all jobs of a rule into one node."""
    return lambda node: (graph.nodes[node]["job"].rule,)


def by_stage(graph: networkx.DiGraph[int], stages: Sequence[str]) -> Callable[[int], Key]:
    """Return the key that folds rounds, shards, ranks and seeds, and keeps architectures and stages apart."""
    architecture: dict[int, str] = {}
    stage: dict[int, str] = {}
    for node in networkx.lexicographical_topological_sort(graph):
        own = graph.nodes[node]["job"].wildcards
        before = list(graph.predecessors(node))
        inherited = {architecture[other] for other in before} - {""}
        architecture[node] = own.get("architecture") or (inherited.pop() if len(inherited) == 1 else "")
        # Snakemake names a wildcard only where it is new: a job of a later stage that also reads an earlier one
        # belongs to the later.
        latest = max((stages.index(stage[other]) for other in before if stage[other]), default=-1)
        stage[node] = own.get("stage") or (stages[latest] if latest >= 0 else "")

    def key(node: int) -> Key:
        rule = graph.nodes[node]["job"].rule
        where = " ".join(part for part in (architecture[node], stage[node] if rule in STAGE_RULES else "") if part)
        return (rule, where) if where else (rule,)

    return key


def fold_graph(graph: networkx.DiGraph[int], key: Callable[[int], Key]) -> networkx.DiGraph[Key]:
    """Return the graph with all nodes of equal key as one; ``jobs`` counts them, ``first`` is the first one's place.

    Dependencies that follow from others are left out, so that what is drawn can be followed; the target `all` too.
    """
    order = [node for node in networkx.lexicographical_topological_sort(graph) if key(node) != ("all",)]
    counts = Counter(key(node) for node in order)
    first: dict[Key, int] = {}
    for place, node in enumerate(order):
        first.setdefault(key(node), place)
    folded: networkx.DiGraph[Key] = networkx.DiGraph()
    for name in sorted(counts):
        folded.add_node(name, jobs=counts[name], first=first[name])
    edges = {(key(a), key(b)) for a, b in graph.edges if key(a) != key(b)}
    folded.add_edges_from(sorted(edge for edge in edges if ("all",) not in edge))
    return _reduced(folded)


def _reduced(graph: networkx.DiGraph[Key]) -> networkx.DiGraph[Key]:
    """Return the graph without edges that follow from others; rounds make cycles, whose edges all stay."""
    condensed = networkx.condensation(graph)
    component: dict[Key, int] = condensed.graph["mapping"]
    kept = set(networkx.transitive_reduction(condensed).edges)
    reduced: networkx.DiGraph[Key] = networkx.DiGraph()
    reduced.add_nodes_from(graph.nodes(data=True))
    for a, b in graph.edges:
        if component[a] == component[b] or (component[a], component[b]) in kept:
            reduced.add_edge(a, b)
    return reduced


def _layers(graph: networkx.DiGraph[Key]) -> list[list[Key]]:
    """Return the nodes in layers; rules that feed each other in rounds (propose, run) come below each other."""
    condensed = networkx.condensation(graph)
    layers: list[list[Key]] = []
    for generation in _generations(condensed):
        groups = [
            sorted(condensed.nodes[number]["members"], key=lambda name: graph.nodes[name]["first"])
            for number in generation
        ]
        for depth in range(max(map(len, groups))):
            layers.append(sorted(group[depth] for group in groups if len(group) > depth))
    return layers


def _generations(graph: networkx.DiGraph[int]) -> list[list[int]]:
    """Return the nodes by depth; those that wait for nothing come just before the first that needs them."""
    depth = {node: number for number, nodes in enumerate(networkx.topological_generations(graph)) for node in nodes}
    for node in graph:
        if not graph.in_degree(node) and graph.out_degree(node):
            depth[node] = min(depth[after] for after in graph.successors(node)) - 1
    generations: list[list[int]] = [[] for _ in range(max(depth.values()) + 1)]
    for node in sorted(depth):
        generations[depth[node]].append(node)
    return generations


def _positions(graph: networkx.DiGraph[Key]) -> dict[Key, tuple[float, float]]:
    """Place each layer in a row, ordered by the mean position of what it depends on, so that few lines cross."""
    positions: dict[Key, tuple[float, float]] = {}
    for row, layer in enumerate(_layers(graph)):

        def centre(name: Key) -> tuple[float, Key]:
            placed = [positions[other][0] for other in graph.predecessors(name) if other in positions]
            return (sum(placed) / len(placed) if placed else 0.0, name[::-1])

        for column, name in enumerate(sorted(layer, key=centre)):
            positions[name] = (column - (len(layer) - 1) / 2, -float(row))
    return positions


def least_bend(start: Place, end: Place, boxes: Sequence[Place]) -> float:
    """Return the least bend of a line that passes by the boxes, so that it does not seem to lead to one of them."""

    return min(BENDS, key=lambda bend: (passed(start, end, bend, boxes), abs(bend), bend))


def passed(start: Place, end: Place, bend: float, boxes: Sequence[Place]) -> int:
    """Return how many boxes a line runs behind."""
    dx, dy = (end[0] - start[0]) * COLUMN, (end[1] - start[1]) * ROW
    control = ((start[0] + end[0]) / 2 + bend * dy / COLUMN, (start[1] + end[1]) / 2 - bend * dx / ROW)
    points = [_on_curve(start, control, end, step / 40) for step in range(1, 40)]
    return sum(any(abs(x - a) < HALF_BOX[0] and abs(y - b) < HALF_BOX[1] for x, y in points) for a, b in boxes)


def _on_curve(start: Place, control: Place, end: Place, share: float) -> Place:
    """Return a point of a quadratic Bezier curve, as matplotlib's `arc3` draws it."""
    a, b, c = (1 - share) ** 2, 2 * share * (1 - share), share**2
    return (a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1])


def draw_graph(graph: networkx.DiGraph[Key], path: Path, title: str) -> None:
    """Draw a folded graph as SVG: dependencies above, number of jobs in each box. Same graph, same bytes."""
    positions = _positions(graph)
    columns = [x for x, _ in positions.values()]
    rows = [y for _, y in positions.values()]
    width, height = max(columns) - min(columns) + 1, max(rows) - min(rows) + 1
    figure = Figure(figsize=(COLUMN * width + 0.5, ROW * height + 0.6))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0 - 0.45 / (ROW * height + 0.6)))
    for source, target in graph.edges:
        others = [place for name, place in positions.items() if name not in (source, target)]
        arrow: dict[str, Any] = {"arrowstyle": "-|>", "color": "#9aa5b1", "lw": 0.9, "shrinkA": 18, "shrinkB": 18}
        arrow["connectionstyle"] = f"arc3,rad={least_bend(positions[source], positions[target], others)}"
        axes.annotate("", positions[target], positions[source], arrowprops=arrow, zorder=1)
    for name, (x, y) in positions.items():
        jobs = graph.nodes[name]["jobs"]
        _box(axes, x, y, [*name, f"{jobs} jobs"] if jobs > 1 else list(name))
    axes.set_xlim(min(columns) - 0.6, max(columns) + 0.6)
    axes.set_ylim(min(rows) - 0.5, max(rows) + 0.5)
    axes.axis("off")
    figure.text(0.5, 1.0 - 0.25 / (0.85 * height + 0.6), title, ha="center", va="center", fontsize=10, color="#1f2933")
    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": title, "svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None}, facecolor="white")
    write_text(path, themed(drawn.getvalue()))


def _box(axes: Axes, x: float, y: float, lines: list[str]) -> None:
    style = "round,pad=0,rounding_size=0.08"
    corner, size = (x - HALF_BOX[0], y - HALF_BOX[1]), (2 * HALF_BOX[0], 2 * HALF_BOX[1])
    axes.add_patch(FancyBboxPatch(corner, *size, boxstyle=style, fc="#eef4fb", ec="#31688e"))
    axes.text(x, y, "\n".join(lines), ha="center", va="center", fontsize=7.5, color="#1f2933", zorder=3)
