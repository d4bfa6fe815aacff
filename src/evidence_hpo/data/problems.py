"""Problems of a corpus, told without a word of its texts: file, row count, ids, remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from evidence_hpo.errors import DataError

__all__ = ["Problems", "listed", "shown_names"]

_LIMIT = 10
# Only what looks like an id is shown: with wrong column names an "id" may be the text of a post.
_PLAIN = re.compile(r"[\w.:/@+|-]{1,64}")


def listed(names: Sequence[str], limit: int = _LIMIT) -> str:
    """Return at most ``limit`` names, then how many more there are."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def shown_names(values: Sequence[object], rows: Sequence[int] | None = None) -> list[str]:
    """Return each value if it looks like an id, else where it stands.

    Args:
        values: Ids or labels as read.
        rows: Position of each in its table, counted from 0; the header of a file is not counted.
    """
    places = range(len(values)) if rows is None else rows
    return [
        value if isinstance(value, str) and _PLAIN.fullmatch(value) else f"row {row + 1}"
        for value, row in zip(values, places, strict=True)
    ]


class Problems:
    """Collects every problem of a corpus, so that a user mends them all at once."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, file: str, rows: int, what: str, names: Iterable[str] = (), remedy: str = "") -> None:
        """Add one problem.

        Args:
            file: File or table, as the user named it.
            rows: Number of rows that have the problem.
            what: The problem, as ``duplicate post id``.
            names: Ids of the rows.
            remedy: What to do.
        """
        ids = list(dict.fromkeys(names))
        count = f"{rows} row{'' if rows == 1 else 's'}: " if rows else ""
        line = f"{file}: {count}{what}" + (f": {listed(ids)}" if ids else "")
        self._lines.append(line + (f"; {remedy}" if remedy else ""))

    def add_error(self, error: DataError) -> None:
        """Add an error that was raised elsewhere, which may itself hold several lines."""
        self._lines += str(error).split("\n")

    def raise_any(self) -> None:
        """Raise all problems as one error, one line each.

        Raises:
            DataError: There is at least one problem.
        """
        if self._lines:
            raise DataError("\n".join(dict.fromkeys(self._lines)))
