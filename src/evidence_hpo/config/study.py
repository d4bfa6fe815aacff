"""Section `study`: what is searched, and the seed from which all others derive."""

from __future__ import annotations

from pydantic import Field, field_validator

from evidence_hpo.config.base import Identifier, Section
from evidence_hpo.config.parameters import ArchitectureName

__all__ = ["StudySettings"]


class StudySettings(Section):
    """Identity of the study."""

    name: Identifier = Field("sample", description="Name of the study; part of every trial's seed.")
    seed: int = Field(42, ge=0, lt=2**31, description="Global seed; every other seed derives from it.")
    architectures: tuple[ArchitectureName, ...] = Field(
        ("criteria", "evidence"),
        min_length=1,
        description=(
            "Models to search: criteria (is it met?), evidence (which span?), share (one encoder, both), joint "
            "(two encoders, fused)."
        ),
    )

    @field_validator("architectures")
    @classmethod
    def _unique(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("an architecture is named twice")
        return value
