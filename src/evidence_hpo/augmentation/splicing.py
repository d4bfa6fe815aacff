"""Put a variant of an evidence sentence back into its text."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["splice"]

Span = tuple[int, int]


def splice(text: str, spans: Sequence[Span], place: Span, variant: str) -> tuple[str, list[Span]]:
    """Replace ``text[start:end]`` by ``variant``; the text outside is untouched, and spans after it shift.

    Args:
        text: Text of an example.
        spans: Its evidence, character offsets with the end exclusive; ``place`` may be one of them.
        place: Start and end of the sentence that is replaced.
        variant: What takes its place.

    Returns:
        The new text, and the spans in it in the order of ``spans``; that of ``place`` is exactly the variant.

    Raises:
        ValueError: ``place`` is not inside the text, or another span overlaps it.
    """
    start, end = place
    if not 0 <= start <= end <= len(text):
        raise ValueError(f"{start}-{end} is not inside a text of {len(text)} characters")
    shift = len(variant) - (end - start)
    moved = []
    for own_start, own_end in spans:
        if (own_start, own_end) == place:
            moved.append((start, end + shift))
        elif own_end <= start:
            moved.append((own_start, own_end))
        elif own_start >= end:
            moved.append((own_start + shift, own_end + shift))
        else:
            raise ValueError(f"span {own_start}-{own_end} overlaps {start}-{end}, which is replaced")
    return text[:start] + variant + text[end:], moved
