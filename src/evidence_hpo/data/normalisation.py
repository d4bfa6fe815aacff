"""Text reduced to what two spellings of one sentence share, with the way back to the original characters."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

__all__ = ["NormalisedText", "normalise"]

_SPELLINGS = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4\u0060\u2039\u203a", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\u301d\u301e", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63\uff0d", "-"),
    # Zero-width characters, byte order marks and soft hyphens are invisible.
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", ""),
}
# Plain ASCII words with single spaces map one to one, other white space becomes one space, and anything else goes by
# character with its marks.
_PARTS = re.compile(r"(?P<plain>[!-_a-~]+(?: [!-_a-~]+)*)|(?P<space>\s+)|(?P<other>.)", re.DOTALL)


@dataclass(frozen=True)
class NormalisedText:
    """A normalised text and, for each of its characters, the original ones that it stands for.

    Attributes:
        text: The normalised text.
        starts: Offset in the original of the first character behind each normalised one.
        ends: Offset after the last one.
    """

    text: str
    starts: list[int]
    ends: list[int]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the original offsets (end exclusive) of the normalised characters ``start`` to ``end``, not empty."""
        return self.starts[start], self.ends[end - 1]


def normalise(text: str) -> NormalisedText:
    """Return ``text`` in Unicode form NFKC, without case, with plain quotes and dashes and single spaces.

    White space at both ends is removed. Every normalised character knows the original characters it stands for.
    """
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    position, length = 0, len(text)
    while position < length:
        match = _PARTS.match(text, position)
        assert match is not None
        end = match.end()
        if match["plain"] is not None:
            # A combining mark after the run belongs to its last character.
            if _marks_end(text, end) > end:
                end -= 1
            if end > position:
                pieces.append(text[position:end].lower())
                starts.extend(range(position, end))
                ends.extend(range(position + 1, end + 1))
                position = end
                continue
        elif match["space"] is not None:
            _append_space(pieces, starts, ends, position, end)
            position = end
            continue
        end = _marks_end(text, position + 1)
        for character in _reduced(text[position:end]):
            if character.isspace():
                _append_space(pieces, starts, ends, position, end)
            else:
                pieces.append(character)
                starts.append(position)
                ends.append(end)
        position = end
    joined = "".join(pieces)
    if joined.endswith(" "):
        return NormalisedText(joined[:-1], starts[:-1], ends[:-1])
    return NormalisedText(joined, starts, ends)


def _append_space(pieces: list[str], starts: list[int], ends: list[int], start: int, end: int) -> None:
    """Append one space, unless nothing or a space is before it."""
    if not pieces:
        return
    if pieces[-1] == " ":
        ends[-1] = end
        return
    pieces.append(" ")
    starts.append(start)
    ends.append(end)


def _marks_end(text: str, position: int) -> int:
    """Return the offset after the combining marks at ``position``, with invisible characters among them."""
    end = position
    while position < len(text):
        combining = unicodedata.combining(text[position])
        if not combining and _SPELLINGS.get(text[position]) != "":
            break
        position += 1
        if combining:
            end = position
    return end


def _reduced(cluster: str) -> str:
    plain = "".join(_SPELLINGS.get(character, character) for character in cluster)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", plain).casefold())
    return "".join(_SPELLINGS.get(character, character) for character in folded)
