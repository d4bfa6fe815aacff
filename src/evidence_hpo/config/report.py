"""Section `report`: what reports may show."""

from __future__ import annotations

from pydantic import Field

from evidence_hpo.config.base import Section

__all__ = ["ReportSettings"]


class ReportSettings(Section):
    """Contents of the reports."""

    include_text: bool = Field(
        False,
        description="Allow text of posts in reports. Leave it off for clinical data that is not yours to publish.",
    )
