from __future__ import annotations

import dataclasses
import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence_hpo.errors import DataError
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.tokens.features import assemble, build_features
from evidence_hpo.tokens.tables import write_table
from evidence_hpo.tokens.tokenization import tokenize_table
from evidence_hpo.tokens.tokenizer import PreparedTokenizer

Files = tuple[Path, Path]


def written(folder: Path, examples: pa.Table, criteria: Any, tokenizer: Path, backbone_digest: str = "b" * 64) -> Files:
    made = tokenize_table(
        examples, criteria, PreparedTokenizer(tokenizer), task="evidence", backbone_digest=backbone_digest, where="test"
    )
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "texts.arrow", folder / "examples.arrow"
    for file, batch in zip(files, made[:2], strict=True):
        write_table(file, batch, made[2])
    return files


@pytest.fixture
def files(tmp_path: Path, examples: pa.Table, criteria: Any, tokenizer_directory: Path) -> Files:
    return written(tmp_path / "cache", examples, criteria, tokenizer_directory)


def test_a_cache_gives_back_the_examples(files: Files, examples: pa.Table) -> None:
    cache = TokenCache.open(*files)
    assert len(cache) == examples.num_rows
    assert cache.example_ids == examples["example_id"].to_pylist()
    assert cache.post_ids.tolist() == examples["post_id"].to_pylist()
    assert cache.criteria.tolist() == examples["criterion"].to_pylist()
    assert cache.labels.tolist() == examples["label"].to_pylist()
    assert cache.labels.dtype == np.int8
    assert cache.gold_spans == [[(s["start"], s["end"]) for s in row] for row in examples["spans"].to_pylist()]


def test_texts_and_criteria_are_tokenised_once_and_examples_point_at_them(
    files: Files, examples: pa.Table, criteria: Any, tokenizer_directory: Path
) -> None:
    cache, tokenizer = TokenCache.open(*files), PreparedTokenizer(tokenizer_directory)
    assert len(cache.row_begin) - 1 == len(criteria) + len(set(examples["text"].to_pylist()))
    texts = {item["id"]: item["text"] for item in criteria}
    for number, row in enumerate(examples.to_pylist()):
        for index, text in (
            (cache.text_rows[number], row["text"]),
            (cache.criterion_rows[number], texts[row["criterion"]]),
        ):
            part = slice(cache.row_begin[index], cache.row_begin[index + 1])
            assert cache.input_ids[part].tolist() == tokenizer.encode([text]).input_ids.tolist()


def test_gold_tokens_are_the_tokens_that_overlap_a_span(files: Files) -> None:
    cache = TokenCache.open(*files)
    gold = cache.gold_tokens
    for number, spans in enumerate(cache.gold_spans):
        begin, end = cache.row_begin[cache.text_rows[number]], cache.row_begin[cache.text_rows[number] + 1]
        pairs = list(zip(cache.starts[begin:end], cache.ends[begin:end], strict=True))
        for place, (start, stop) in enumerate(spans):
            inside = [k for k, (low, high) in enumerate(pairs) if low < stop and high > start]
            found = gold.begin[number] + place
            assert (gold.first[found], gold.last[found]) == (inside[0], inside[-1])


@given(st.integers(0, 290), st.integers(1, 100))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_span_between_tokens_has_none(cache_by_hand: Callable[..., TokenCache], start: int, size: int) -> None:
    end = min(300, start + size)
    tokens = [k for k in range(30) if 10 * k < end and 10 * k + 9 > start]
    gold = cache_by_hand([1], [(0, 30, [(start, end)])]).gold_tokens
    assert list(zip(gold.first, gold.last, strict=True)) == ([(tokens[0], tokens[-1])] if tokens else [])
    assert gold.begin.tolist() == [0, len(gold.first)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/maps")
def test_the_flat_arrays_lie_in_the_mapped_file(files: Files) -> None:
    cache = TokenCache.open(*files)
    mapped = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, *_, path = line.split(maxsplit=5)
        mapped.setdefault(path, []).append([int(part, 16) for part in addresses.split("-")])
    places = {files[0]: (cache.input_ids, cache.starts, cache.ends, cache.row_begin)}
    places[files[1]] = (cache.labels, cache.text_rows, cache.criterion_rows)
    for path, arrays in places.items():
        for array in arrays:
            address = array.__array_interface__["data"][0]
            assert any(low <= address and address + array.nbytes <= high for low, high in mapped[str(path)])
            assert not array.flags.writeable


def test_equal_inputs_give_equal_bytes(
    tmp_path: Path, files: Files, examples: pa.Table, criteria: Any, tokenizer_directory: Path
) -> None:
    again = written(tmp_path / "again", examples, criteria, tokenizer_directory)
    sliced = pa.concat_tables([examples.slice(0, 3), examples.slice(3)])
    chunked = written(tmp_path / "chunked", sliced, criteria, tokenizer_directory)
    for one, other, third in zip(files, again, chunked, strict=True):
        assert one.read_bytes() == other.read_bytes() == third.read_bytes()


def test_no_text_is_kept(files: Files, examples: pa.Table) -> None:
    content = b"".join(path.read_bytes() for path in files)
    words = {word for text in examples["text"].to_pylist() for word in text.split() if len(word) > 4}
    assert words
    assert not [word for word in words if word.encode() in content]


def _changed(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    index = table.column_names.index(name)
    return table.set_column(index, table.schema.field(name), pa.array(values, table.schema.field(name).type))


def test_the_digest_changes_with_everything_that_a_run_reads(
    tmp_path: Path, files: Files, examples: pa.Table, criteria: Any, tokenizer_directory: Path
) -> None:
    other_tokenizer = tmp_path / "tokenizer"
    shutil.copytree(tokenizer_directory, other_tokenizer)
    configuration = (other_tokenizer / "tokenizer.json").read_text()
    (other_tokenizer / "tokenizer.json").write_text(configuration.replace('"version": "1.0"', '"version":"1.0"') + " ")
    labels, texts, ids = (examples[name].to_pylist() for name in ("label", "text", "example_id"))
    upper = [text.upper() for text in texts]  # the same tokens: the tokeniser lower-cases
    reworded = [{**criteria[0], "text": criteria[0]["text"].upper()}, criteria[1]]
    given = (examples, criteria, tokenizer_directory, "b" * 64)
    variants: dict[str, tuple[Any, Any, Path, str]] = {
        "label": (_changed(examples, "label", [1 - labels[0], *labels[1:]]), *given[1:]),
        "text": (_changed(examples, "text", upper), *given[1:]),
        "id": (_changed(examples, "example_id", ["new", *ids[1:]]), *given[1:]),
        "fewer": (examples.slice(0, 4), *given[1:]),
        "criterion": (examples, reworded, *given[2:]),
        "tokenizer": (examples, criteria, other_tokenizer, "b" * 64),
        "backbone": (examples, criteria, tokenizer_directory, "c" * 64),
    }
    digests = {TokenCache.open(*files).digest}
    for name, arguments in variants.items():
        digests.add(TokenCache.open(*written(tmp_path / name, *arguments)).digest)
    assert len(digests) == 1 + len(variants)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_named(files: Files, which: int, share: float) -> None:
    content = files[which].read_bytes()
    files[which].write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=rf"{files[which].name}: truncated or damaged .* run tokenize_examples again"):
        TokenCache.open(*files)


def test_a_changed_byte_is_found_wherever_the_values_lie(files: Files) -> None:
    cache = TokenCache.open(*files)
    for which, array in ((0, cache.input_ids), (0, cache.ends), (1, cache.labels), (1, cache.text_rows)):
        content = bytearray(files[which].read_bytes())
        place = bytes(content).index(array.tobytes())
        content[place] ^= 1
        broken = files[which].with_name("broken.arrow")
        broken.write_bytes(content)
        pair = (broken, files[1]) if which == 0 else (files[0], broken)
        with pytest.raises(DataError, match=r"broken.arrow: damaged token cache"):
            TokenCache.open(*pair)


def test_files_of_two_backbones_do_not_belong_together(
    tmp_path: Path, files: Files, examples: pa.Table, criteria: Any, tokenizer_directory: Path
) -> None:
    other = written(tmp_path / "other", examples, criteria, tokenizer_directory, "c" * 64)
    with pytest.raises(DataError, match=r"do not belong together \(backbone_digest differs\)"):
        TokenCache.open(files[0], other[1])


def test_wrong_files_are_named(tmp_path: Path, files: Files) -> None:
    with pytest.raises(DataError, match=r"none.arrow: no such file"):
        TokenCache.open(tmp_path / "none.arrow", files[1])
    with pytest.raises(DataError, match=r"examples.arrow: not a token cache of format 1 with the columns kind"):
        TokenCache.open(files[1], files[0])


def test_an_unknown_criterion_and_a_span_outside_its_text_are_named(
    tmp_path: Path, examples: pa.Table, criteria: Any, tokenizer_directory: Path
) -> None:
    with pytest.raises(DataError, match=r"criterion 'MOOD' is not in the criteria file"):
        written(tmp_path, examples, criteria[:1], tokenizer_directory)
    spans = examples["spans"].to_pylist()
    wrong = _changed(examples, "spans", [[{"start": 5, "end": 5000}], *spans[1:]])
    with pytest.raises(DataError, match=r"spans of example 'p0_SLEEP' are not inside the text"):
        written(tmp_path, wrong, criteria, tokenizer_directory)
    ids = examples["example_id"].to_pylist()
    with pytest.raises(DataError, match=r"example_id 'p0_MOOD' comes more than once"):
        written(tmp_path, _changed(examples, "example_id", [ids[1], *ids[1:]]), criteria, tokenizer_directory)
    with pytest.raises(DataError, match=r"column label missing"):
        written(tmp_path, examples.drop_columns(["label"]), criteria, tokenizer_directory)


def test_no_examples_make_an_empty_cache(
    tmp_path: Path, examples: pa.Table, criteria: Any, tokenizer_directory: Path
) -> None:
    cache = TokenCache.open(*written(tmp_path, examples.slice(0, 0), criteria, tokenizer_directory))
    assert len(cache) == 0
    assert cache.gold_spans == []


def test_metadata_survives_the_files(files: Files, tokenizer_directory: Path) -> None:
    metadata, tokenizer = TokenCache.open(*files).metadata, PreparedTokenizer(tokenizer_directory)
    assert dataclasses.asdict(metadata.template) == dataclasses.asdict(tokenizer.template)
    assert (metadata.cls, metadata.sep, metadata.pad, metadata.token_types) == (1, 2, 0, True)
    assert metadata.tokenizer_digest != hashlib.sha256(b"").hexdigest()


def test_joined_caches_assemble_to_the_windows_of_each(cache_by_hand: Callable[..., TokenCache]) -> None:
    one = cache_by_hand([3, 5], [(0, 40, [(120, 260)]), (1, 12, [])])
    other = cache_by_hand([3, 5], [(1, 25, [(0, 30), (200, 240)]), (0, 7, []), (1, 60, [(500, 560)])])
    both = one.joined(other)
    assert both.example_ids == [*one.example_ids, *other.example_ids]
    assert both.gold_spans == [*one.gold_spans, *other.gold_spans]
    parts = [build_features(part, np.arange(len(part)), max_length=24, overlap=0.5) for part in (one, other, both)]
    assert len(parts[2]) == len(parts[0]) + len(parts[1])
    shown = [
        assemble(part, features, np.array([index]))
        for part, features in zip((one, other), parts[:2], strict=True)
        for index in range(len(features))
    ]
    for index, expected in enumerate(shown):
        found = assemble(both, parts[2], np.array([index]))
        for field in dataclasses.fields(found):
            if field.name != "example":
                assert np.array_equal(getattr(found, field.name), getattr(expected, field.name)), field.name


def test_the_digest_of_joined_caches_tells_their_content_and_order(
    files: Files, tmp_path: Path, examples: pa.Table, criteria: Any, tokenizer_directory: Path
) -> None:
    one = TokenCache.open(*files)
    other = TokenCache.open(*written(tmp_path / "other", examples.slice(2), criteria, tokenizer_directory))
    digests = {one.digest, other.digest, one.joined(other).digest, other.joined(one).digest, one.joined(one).digest}
    assert len(digests) == 5
    assert one.joined(other).digest == one.joined(other).digest


def test_caches_of_another_encoder_or_other_criteria_are_not_joined(
    files: Files, tmp_path: Path, examples: pa.Table, criteria: Any, tokenizer_directory: Path
) -> None:
    one = TokenCache.open(*files)
    encoder = TokenCache.open(*written(tmp_path / "a", examples, criteria, tokenizer_directory, "c" * 64))
    with pytest.raises(DataError, match="another backbone_digest cannot be joined"):
        one.joined(encoder)
    worded = [{**criterion, "text": criterion["text"] + " Often."} for criterion in criteria]
    with pytest.raises(DataError, match="another criteria_digest cannot be joined"):
        one.joined(TokenCache.open(*written(tmp_path / "b", examples, worded, tokenizer_directory)))
