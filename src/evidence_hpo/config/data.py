"""Section `data`: where the corpus comes from, how it is checked, aligned, split and made into examples."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from evidence_hpo.config.base import Section

__all__ = [
    "AlignmentSettings",
    "ColumnSettings",
    "CorpusSettings",
    "CriteriaExampleSettings",
    "DataSettings",
    "EvidenceExampleSettings",
    "ExampleSettings",
    "FileSourceSettings",
    "HubSourceSettings",
    "SampleSourceSettings",
    "SplitSettings",
]


class SampleSourceSettings(Section):
    """The bundled synthetic corpus."""

    posts: int = Field(1500, ge=60, le=20000, description="Number of synthetic posts.")
    seed: int = Field(7, ge=0, description="Seed of the generator.")


class FileSourceSettings(Section):
    """A folder of CSV or Parquet files in the two-table layout."""

    posts: str | None = Field(None, description="CSV or Parquet file of posts.")
    annotations: str | None = Field(None, description="CSV or Parquet file of annotated sentences.")


class HubSourceSettings(Section):
    """A Hugging Face data set, or a local folder that `datasets` can load."""

    dataset: str = Field("irlab-udc/redsm5", min_length=1, description="Data set id or local folder.")
    revision: str = Field("main", min_length=1, description="Commit, tag or branch; pin a commit for a paper.")
    posts_split: str = Field("posts", description="Name of the split that holds the posts.")
    annotations_split: str = Field("annotations", description="Name of the split that holds the annotations.")


class ColumnSettings(Section):
    """Names of the source's columns."""

    post_id: str = Field("post_id", description="Id of a post, in both tables.")
    text: str = Field("text", description="Text of a post.")
    sentence_id: str = Field("sentence_id", description="Id of a sentence.")
    sentence_text: str = Field("sentence_text", description="Text of the annotated sentence.")
    criterion: str = Field("DSM5_symptom", description="Label of the criterion.")
    status: str = Field("status", description="1 = evidence for the criterion, 0 = explicit negative.")


class AlignmentSettings(Section):
    """How evidence sentences are found in their posts: exact, then normalised, then fuzzy."""

    fuzzy_threshold: float = Field(
        80.0, ge=50.0, le=100.0, description="Least similarity (rapidfuzz, 0 to 100) of a fuzzy alignment."
    )


class SplitSettings(Section):
    """Split into training, validation and test: grouped by post, stratified over criteria."""

    train: float = Field(0.8, gt=0.0, lt=1.0, description="Share of the posts for training.")
    validation: float = Field(0.1, gt=0.0, lt=1.0, description="Share of the posts for validation.")
    test: float = Field(0.1, gt=0.0, lt=1.0, description="Share of the posts for the final test.")
    file: str | None = Field(
        None,
        description=(
            "Official split instead: CSV or Parquet with the columns post_id and split (train, validation or dev,"
            " test)."
        ),
    )

    @model_validator(mode="after")
    def _sum(self) -> SplitSettings:
        total = self.train + self.validation + self.test
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"train + validation + test is {total:g}, not 1")
        return self


class CriteriaExampleSettings(Section):
    """Examples of the criteria task."""

    unit: Literal["sentence", "post"] = Field(
        "sentence",
        description="sentence: one example per annotated sentence; post: one per post and criterion.",
    )


class EvidenceExampleSettings(Section):
    """Examples of the evidence task."""

    negatives_per_positive: float | None = Field(
        1.0,
        ge=0.0,
        description="Post-criterion pairs without evidence for each pair with evidence. null: all pairs.",
    )
    explicit_negative_share: float = Field(
        1.0,
        ge=0.0,
        le=1.0,
        description=(
            "Most of the pairs without evidence that may be explicit negatives, as long as there are others; "
            "of no effect where all pairs are taken."
        ),
    )


class ExampleSettings(Section):
    """How examples are built from the annotated posts."""

    criteria: CriteriaExampleSettings = Field(CriteriaExampleSettings(), description="The criteria task.")
    evidence: EvidenceExampleSettings = Field(EvidenceExampleSettings(), description="The evidence task.")


class CorpusSettings(Section):
    """Everything that decides the corpus; a change here rebuilds it."""

    source: Literal["sample", "files", "hub"] = Field(
        "sample",
        description="sample: the bundled synthetic corpus; files: your own tables; hub: a Hugging Face data set.",
    )
    sample: SampleSourceSettings = Field(SampleSourceSettings(), description="Used by source `sample`.")
    files: FileSourceSettings = Field(FileSourceSettings(), description="Used by source `files`.")
    hub: HubSourceSettings = Field(HubSourceSettings(), description="Used by source `hub`.")
    criteria_file: str | None = Field(
        None,
        description=(
            'JSON list of {"id", "name", "text"}; null: the nine DSM-5 symptoms of depression as ReDSM5 names them.'
        ),
    )
    columns: ColumnSettings = Field(ColumnSettings(), description="Column names of the source's tables.")
    label_aliases: dict[str, str] = Field(
        {"LEEP_ISSUES": "SLEEP_ISSUES"},
        description="Misspelt labels and what they mean; each use is reported.",
    )
    ignored_labels: tuple[str, ...] = Field(
        ("SPECIAL_CASE",), description="Labels whose annotations are left out; counted in the report."
    )
    alignment: AlignmentSettings = Field(AlignmentSettings(), description="Search of evidence sentences in posts.")

    @model_validator(mode="after")
    def _files_named(self) -> CorpusSettings:
        if self.source == "files":
            missing = [name for name in ("posts", "annotations") if getattr(self.files, name) is None]
            if missing:
                raise ValueError(f"source is 'files', so files.{' and files.'.join(missing)} must name a file")
        return self


class DataSettings(Section):
    """The section `data`."""

    corpus: CorpusSettings = Field(CorpusSettings(), description="The posts, annotations and criteria.")
    split: SplitSettings = Field(SplitSettings(), description="Training, validation and test posts.")
    examples: ExampleSettings = Field(ExampleSettings(), description="Examples of the two tasks.")
