"""Tables on disk: foreign CSV and Parquet files, read as text, and the corpus's own Parquet files."""

from __future__ import annotations

import codecs
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from evidence_hpo.config.base import suggestion
from evidence_hpo.data.problems import listed
from evidence_hpo.errors import DataError
from evidence_hpo.files import atomic_path, digest_bytes, digest_json

__all__ = [
    "ANNOTATIONS",
    "EXAMPLES",
    "POSTS",
    "digest_rows",
    "read_foreign",
    "read_table",
    "select_columns",
    "text_keys",
    "write_table",
]

POSTS = pa.schema([("post_id", pa.string()), ("text", pa.string())])
ANNOTATIONS = pa.schema(
    [
        ("post_id", pa.string()),
        ("sentence_id", pa.string()),
        ("sentence_text", pa.string()),
        ("criterion", pa.string()),
        ("status", pa.int8()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("alignment", pa.string()),
        ("score", pa.float64()),
    ]
)
EXAMPLES = pa.schema(
    [
        ("example_id", pa.string()),
        ("post_id", pa.string()),
        ("criterion", pa.string()),
        ("text", pa.string()),
        ("label", pa.int8()),
        ("spans", pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())]))),
    ]
)


def write_table(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write ``frame`` as Parquet with exactly the columns and types of ``schema``, atomically."""
    table = pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False).replace_schema_metadata()
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: Path, schema: pa.Schema) -> pd.DataFrame:
    """Read a Parquet file of this package; integer columns with nulls keep their type.

    Raises:
        DataError: The file is missing, is not Parquet, or has other columns.
    """
    table = _read_parquet(path, str(path))
    if not table.schema.equals(schema):
        raise DataError(f"{path}: its columns are not those of this version; run the step that makes it again")
    frame: pd.DataFrame = table.to_pandas(types_mapper=_nullable.get)
    return frame


_nullable = {pa.int32(): pd.Int32Dtype(), pa.int8(): pd.Int8Dtype()}


def digest_rows(rows: Iterable[Sequence[object]]) -> str:
    """Return one SHA-256 over rows of strings, numbers and None, whatever file they came from."""
    return digest_json([list(row) for row in rows])


def text_keys(posts: pd.DataFrame) -> list[str]:
    """Return a key for each post that is the same for posts whose texts differ at most in case and white space."""
    return [digest_bytes(" ".join(text.casefold().split()).encode()) for text in posts["text"]]


def read_foreign(path: Path, columns: Mapping[str, str], section: str = "data.corpus.columns") -> pd.DataFrame:
    """Read some columns of a CSV (UTF-8) or Parquet file, every value as text.

    Args:
        path: File whose name ends in ``.csv`` or ``.parquet``.
        columns: Column of the file for each column of the result.
        section: Section of the configuration that names the columns; empty: their names are fixed.

    Returns:
        Frame with the columns of the result; a null of the file is None.

    Raises:
        DataError: One line: the file is missing, cannot be decoded or parsed, or lacks a column.
    """
    shown = str(path)
    if path.is_dir():
        raise DataError(f"{shown}: is a folder; name the file")
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{shown}: the name must end in .csv or .parquet")
    try:
        table = reader(path, shown)
    except PermissionError as error:
        raise DataError(f"{shown}: no permission to read it") from error
    return select_columns(table, columns, shown, section)


def select_columns(table: pa.Table, columns: Mapping[str, str], shown: str, section: str = "") -> pd.DataFrame:
    """Return the columns of ``table`` that ``columns`` names (values), renamed to its keys, every value as text.

    Raises:
        DataError: One line for each column that is missing, or holds something else than text and numbers.
    """
    problems = [
        f"{shown}: no column '{name}'{f' ({section}.{key})' if section else ''}{_column_hint(name, table.column_names)}"
        for key, name in columns.items()
        if name not in table.column_names
    ]
    if problems:
        raise DataError("\n".join(problems))
    texts = {key: _as_text(table.column(name), name, shown) for key, name in columns.items()}
    return pd.DataFrame({key: pd.Series(values.to_pylist(), dtype=object) for key, values in texts.items()})


def _column_hint(name: str, known: list[str]) -> str:
    for mark, shown in ((";", "semicolons"), ("\t", "tabs")):
        if len(known) == 1 and mark in known[0]:
            return f"; it seems to be separated by {shown}: save it with commas"
    # Names of columns could be texts where the header is missing.
    plain = [column for column in known if len(column) <= 40 and len(column.split()) <= 3]
    return suggestion(name, plain) if plain else "; is the header missing?"


def _as_text(column: pa.ChunkedArray, name: str, shown: str) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    simple = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating)
    if not any(check(kind) for check in (*simple, pa.types.is_boolean, pa.types.is_null)):
        raise DataError(f"{shown}: column '{name}' holds {kind}; it must hold text or numbers")
    return column.cast(pa.large_string())


def _read_parquet(path: Path, shown: str) -> pa.Table:
    try:
        return pq.read_table(path)
    except FileNotFoundError as error:
        raise DataError(f"{shown}: no such file") from error
    except pa.ArrowException as error:
        raise DataError(f"{shown}: not a readable Parquet file ({type(error).__name__})") from error


def _read_csv(path: Path, shown: str) -> pa.Table:
    content = _decodable(path, shown)
    try:
        header = pd.read_csv(
            io.BytesIO(content), header=None, nrows=1, dtype=str, encoding="utf-8-sig", na_filter=False
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(io.BytesIO(content), dtype=str, encoding="utf-8-sig", na_filter=False)
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{shown}: is empty") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = str(error).strip().split("C error: ")[-1]
        raise DataError(f"{shown}: not valid CSV ({reason}); quote fields that hold commas or line breaks") from error
    names = header.iloc[0].tolist()
    twice = sorted({name for name in names if names.count(name) > 1 and len(name) <= 40})
    if twice:
        raise DataError(f"{shown}: column name given twice: {listed(twice)}")
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"{shown}: its rows have more fields than its header; quote fields that hold commas")
    return pa.Table.from_pydict({str(name): pa.array(frame[name].tolist(), pa.large_string()) for name in frame})


def _decodable(path: Path, shown: str) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{shown}: no such file") from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{shown}: is UTF-16 (byte order mark at its start); save it as UTF-8")
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise DataError(f"{shown}: NUL byte in line {line}; is it a text file? remove the byte")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{shown}: not UTF-8 (byte {error.start}, line {line}); save it as UTF-8") from error
    return content
