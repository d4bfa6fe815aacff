"""Rows on standard output: a table for people, JSON or CSV for machines."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import typer

__all__ = ["OutputFormat", "show_json", "show_rows"]

_WIDEST = 10_000
_LARGE = 100.0
"""From here on a number is shown with one decimal instead of four."""


class OutputFormat(StrEnum):
    """How rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"


def show_rows(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str], output: OutputFormat) -> None:
    """Print rows.

    Args:
        rows: Values by key; JSON holds all keys.
        titles: Key -> title of its column, in order: what the table and CSV show.
        output: The format.
    """
    if output is OutputFormat.json:
        show_json(list(rows))
    elif output is OutputFormat.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(titles.values())
        writer.writerows([_machine(row[key]) for key in titles] for row in rows)
    else:
        _print_table(rows, titles)


def show_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _print_table(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*titles.values(), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(_human(row[key]) for key in titles))
    # Not on a terminal nothing is cut: a long path takes the room that it needs.
    console = Console() if sys.stdout.isatty() else Console(width=_WIDEST)
    width = console.width if sys.stdout.isatty() else max(1, console.measure(table).maximum)
    console.print(table, highlight=False, width=width)


def _machine(value: Any) -> Any:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}={_machine(one)}" for key, one in value.items())
    return "" if value is None else value


def _human(value: Any) -> str:
    from rich.markup import escape

    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_human(one)}" for key, one in value.items()) or "-"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < _LARGE else f"{value:.1f}"
    return "-" if value is None else escape(str(value))
