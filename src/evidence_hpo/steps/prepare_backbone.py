"""Prepare one encoder of the study: from the hub, from a folder, or small from scratch."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evidence_hpo.config.backbones import BackboneSettings
from evidence_hpo.errors import DataError
from evidence_hpo.files import atomic_directory, digest_directory
from evidence_hpo.logs import log_event
from evidence_hpo.models.preparation import prepare
from evidence_hpo.schemas import write_artefact
from evidence_hpo.step import run_step


def prepare_backbone(
    *, name: str, settings: BackboneSettings, seed: int, posts: list[Path], directory: Path, manifest: Path
) -> None:
    """Write a backbone's directory (encoder as safetensors, fast tokeniser) and its manifest.

    Args:
        name: Name in the section `backbones`.
        settings: The backbone's settings.
        seed: Seed of a backbone made from scratch.
        posts: Parquet files of the training posts; needed for source ``scratch`` only.
        directory: Output; directory in Hugging Face layout.
        manifest: Output; JSON with the digest.

    Raises:
        DataError: The source is missing, cannot be reached or is no encoder, or posts are missing.
    """
    if settings.source == "scratch" and not posts:
        raise DataError(f"backbone '{name}': source scratch needs the training posts (--posts)")
    with atomic_directory(directory) as temporary:
        described = prepare(settings, seed=seed, posts=_texts(posts), directory=temporary)
        digest = digest_directory(temporary)
    write_artefact(manifest, "backbone", {"name": name, "digest": digest, **described})
    log_event("prepared", f"backbone '{name}': {described['parameters']} weights, {described['layers']} layers")


def _texts(posts: list[Path]) -> list[str]:
    """Return the texts of all posts, in the order of their ids."""
    try:
        tables = [pq.read_table(path, columns=["post_id", "text"]) for path in posts]
    except FileNotFoundError as error:
        raise DataError(f"{error.filename or posts[0]}: no such file") from error
    except pa.ArrowException as error:
        raise DataError(f"{', '.join(map(str, posts))}: not a readable Parquet file of posts") from error
    if not tables:
        return []
    texts: list[str] = pa.concat_tables(tables).sort_by("post_id").column("text").to_pylist()
    return texts


if __name__ == "__main__":
    run_step(prepare_backbone)
