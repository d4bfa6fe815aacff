"""Code as an input: one digest over a module and everything of this package that it imports.

The digest is taken over the syntax tree without docstrings, so a comment or a reformatting changes nothing, while any
change of behaviour reruns exactly the rules whose modules import the changed one (and gives trials a new key).

Snakemake asks for the digests of all steps whenever it starts, and a job that trains for its own. Reading all the trees
takes a second, so what was read of a source is kept beside Python's own bytecode, and holds while its bytes do.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

__all__ = ["PackageCode", "code_digest"]


def code_digest(module: str) -> str:
    """Return the digest of ``module`` (as ``evidence_hpo.steps.run_trials``) and its import closure.

    Raises:
        ModuleNotFoundError: The package has no such module.
    """
    return _own_code().digest(module)


@cache
def _own_code() -> PackageCode:
    bytecode = Path(importlib.util.cache_from_source(__file__))
    return PackageCode(Path(__file__).resolve().parent, bytecode.with_suffix(".json"))


@dataclass(frozen=True)
class _Source:
    """What was read of a module's source.

    Attributes:
        sha256: Of its bytes.
        tree: SHA-256 of its syntax tree without docstrings.
        names: What it imports of the package, as written: modules, and things inside them.
    """

    sha256: str
    tree: str
    names: tuple[str, ...]


class PackageCode:
    """The modules of a package, as one process finds them.

    Args:
        root: Folder of the package.
        kept: JSON file that keeps what was read for later processes. Where it cannot be written, they read again.
    """

    def __init__(self, root: Path, kept: Path) -> None:
        self._package = root.name
        self._files = dict(_modules(root))
        self._kept = kept
        self._known = self._load()
        self._sources: dict[str, _Source] = {}

    def digest(self, module: str) -> str:
        """Return the digest of a module and its import closure.

        Raises:
            ModuleNotFoundError: The package has no such module.
        """
        closure = sorted(self.closure(module))
        text = "".join(f"{name}={self._source(name).tree}\n" for name in closure)
        if any(self._known.get(name) != self._source(name) for name in closure):
            self._keep()
        return hashlib.sha256(text.encode()).hexdigest()

    def closure(self, module: str) -> frozenset[str]:
        """Return the package's modules that importing ``module`` can reach, itself included.

        Imports inside functions count as well. Importing ``a.b.c`` also runs ``a.b``.
        """
        seen: set[str] = set()
        waiting = [module]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting.extend(self._imports(name))
        return frozenset(seen)

    def _imports(self, module: str) -> Iterator[str]:
        for name in (module, *self._source(module).names):
            pieces = name.split(".")
            packages = (".".join(pieces[:length]) for length in range(2, len(pieces) + 1))
            yield from (package for package in packages if package in self._files)

    def _source(self, module: str) -> _Source:
        if module not in self._sources:
            if module not in self._files:
                raise ModuleNotFoundError(f"no module {module}")
            content = self._files[module].read_bytes()
            known = self._known.get(module)
            sha256 = hashlib.sha256(content).hexdigest()
            self._sources[module] = known if known and known.sha256 == sha256 else self._read(content, sha256)
        return self._sources[module]

    def _read(self, content: bytes, sha256: str) -> _Source:
        tree, names = ast.parse(content), set[str]()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                node.body = node.body[_starts_with_docstring(node.body) :]
        own = sorted(name for name in names if name.startswith(f"{self._package}."))
        return _Source(sha256, hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(own))

    def _load(self) -> dict[str, _Source]:
        try:
            kept = json.loads(self._kept.read_bytes())
            if kept["reader"] != _reader():
                return {}
            sources = kept["sources"].items()
            return {name: _Source(one["sha256"], one["tree"], tuple(one["names"])) for name, one in sources}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return {}

    def _keep(self) -> None:
        self._known |= self._sources
        if sys.dont_write_bytecode:
            return
        content = {"reader": _reader(), "sources": {name: asdict(source) for name, source in self._known.items()}}
        temporary = self._kept.with_suffix(f".{os.getpid()}.json")
        with contextlib.suppress(OSError):
            self._kept.parent.mkdir(exist_ok=True)
            temporary.write_text(json.dumps(content), encoding="utf-8")
            temporary.replace(self._kept)


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    for path in root.rglob("*.py"):
        pieces = path.relative_to(root.parent).with_suffix("").parts
        yield ".".join(pieces[:-1] if pieces[-1] == "__init__" else pieces), path


def _starts_with_docstring(body: list[ast.stmt]) -> bool:
    return (
        bool(body)
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    )


@cache
def _reader() -> str:
    """Return what the kept readings depend on beside the sources: this code, and Python, whose trees differ."""
    return f"{sys.version} {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}"
