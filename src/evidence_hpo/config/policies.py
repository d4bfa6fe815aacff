"""How a run composes the two families of augmentation methods: the values of the parameter `augmentation`."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ORIGINAL", "POLICIES", "policies_with"]

ORIGINAL = "original"
"""Source of a bank whose method varies the sentences themselves."""

POLICIES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "none": (),
    "simple": ((ORIGINAL, "simple"),),
    "textattack": ((ORIGINAL, "textattack"),),
    "simple_then_textattack": (("simple", "textattack"),),
    "textattack_then_simple": (("textattack", "simple"),),
    "one_of": ((ORIGINAL, "simple"), (ORIGINAL, "textattack")),
}
"""Policy -> source and family of the banks that it takes variants from."""


def policies_with(family: str | None = None) -> tuple[str, ...]:
    """Return the policies that use the methods of a family; None: of any."""
    return tuple(
        policy
        for policy, pairs in POLICIES.items()
        if any(family in pair if family is not None else True for pair in pairs)
    )
