"""Turns the function of a step into a command, so that a rule is one shell line and a step one plain function.

The command's options are the function's parameters: ``Path`` and ``list[Path]`` for files, ``int``, ``float`` and
``str`` for values, and a section of the configuration for settings, which arrive as JSON. Every step also takes
``--log`` (JSON lines; the same events go to standard error for people) and ``--code`` (digest of the code it runs).
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import inspect
import os
import sys
import time
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from evidence_hpo.errors import ConfigurationError, EvidenceHpoError, StorageError
from evidence_hpo.job_record import JobMeter
from evidence_hpo.logs import log_event, open_log
from evidence_hpo.provenance import write_step_provenance
from evidence_hpo.storage import storage_errors

__all__ = ["run_step"]


def run_step(function: Callable[..., None], arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run ``function`` and exit: 0, or the error's exit code after one line on stderr."""
    # The number of threads is a setting of the run, never the machine's; libraries read this when first imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not gc.isenabled():  # in a process of its own, see evidence_hpo.steps
        gc.freeze()
        gc.enable()
    name = function.__name__
    try:
        values, log, code = _parse(function, arguments)
    except EvidenceHpoError as error:
        sys.exit(_fail(name, error))
    try:
        with open_log(log):
            exit_code = _logged(function, name, values, log, code)
    except StorageError as error:  # of the log itself
        exit_code = _fail(name, error)
    if exit_code:
        sys.exit(exit_code)


def _logged(function: Callable[..., None], name: str, values: dict[str, Any], log: Path, code: str) -> int:
    """Run a step; return its exit code."""
    started, meter = time.monotonic(), JobMeter()
    try:
        with storage_errors():  # of files that are not written by the one atomic writer, as locks
            function(**values)
        duration = time.monotonic() - started
        write_step_provenance(name, log, code, values, meter.record())
        log_event("finished", f"{name}: finished in {duration:.1f} s", seconds=round(duration, 3))
    except EvidenceHpoError as error:
        with contextlib.suppress(StorageError):  # the line is on standard error even where the log has no room for it
            log_event("failed", str(error), level="error", error=type(error).__name__)
        return error.exit_code
    return 0


def _fail(name: str, error: EvidenceHpoError) -> int:
    print(f"{name}: {error}", file=sys.stderr)
    return error.exit_code


def _parse(function: Callable[..., None], arguments: Sequence[str] | None) -> tuple[dict[str, Any], Path, str]:
    description = inspect.getdoc(function) or ""
    parser = argparse.ArgumentParser(prog=f"python -m evidence_hpo.steps.{function.__name__}", description=description)
    hints = typing.get_type_hints(function, include_extras=True)
    hints.pop("return", None)
    for parameter, hint in hints.items():
        many = typing.get_origin(hint) is list
        parser.add_argument(
            f"--{parameter.replace('_', '-')}",
            required=not many,
            nargs="*" if many else None,
            default=[] if many else None,
            metavar="JSON" if _is_json(hint) else _metavar(hint),
        )
    parser.add_argument("--log", required=True, type=Path, metavar="FILE")
    parser.add_argument("--code", default="", metavar="DIGEST", help="digest of the code, recorded in the provenance")
    namespace = vars(parser.parse_args(arguments))
    log, code = namespace.pop("log"), namespace.pop("code")
    values = {parameter: _converted(parameter, hints[parameter], text) for parameter, text in namespace.items()}
    return values, log, code


def _is_json(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    return origin is dict or (isinstance(hint, type) and issubclass(hint, BaseModel)) or origin is typing.Annotated


def _metavar(hint: Any) -> str:
    return "FILE" if hint in (Path, list[Path]) else "VALUE"


def _converted(parameter: str, hint: Any, text: Any) -> Any:
    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    try:
        return adapter.validate_json(text) if _is_json(hint) else adapter.validate_python(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"--{parameter.replace('_', '-')} {where}: {first['msg']}") from error
