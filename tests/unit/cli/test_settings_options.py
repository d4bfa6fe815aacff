"""How overlays and overrides reach Snakemake: as files, so that no shell on the way changes a value."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.cli.workflow import settings_options
from evidence_hpo.config.loading import read_yaml

VALUES = ["study.name=a", "data.corpus.files.posts='it''s \"x\" $HOME {name}.csv'", "search.stages.0.trials=5"]


def test_overrides_come_last_in_a_file_of_their_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    flag, first, last = settings_options([mine], VALUES, tmp_path)
    assert (flag, first) == ("--configfile", str(mine))
    assert Path(last).is_relative_to(tmp_path / "results/work")
    assert read_yaml(Path(last))["overrides"] == {
        "study.name": "a",
        "data.corpus.files.posts": 'it\'s "x" $HOME {name}.csv',
        "search.stages.0.trials": 5,
    }
    assert settings_options([mine], VALUES, tmp_path) == [flag, first, last]
    assert settings_options([mine], VALUES[:1], tmp_path)[-1] != last


def test_without_overrides_nothing_is_written(tmp_path: Path) -> None:
    assert settings_options(None, None, tmp_path) == []
    assert settings_options([tmp_path / "a.yaml"], [], tmp_path) == ["--configfile", str(tmp_path / "a.yaml")]
    assert list(tmp_path.iterdir()) == []
