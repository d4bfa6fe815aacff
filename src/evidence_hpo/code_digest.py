"""Code as an input: one digest over a module and everything of this package that it imports.

The digest is taken over the syntax tree without docstrings, so a comment or a reformatting changes nothing, while any
change of behaviour reruns exactly the rules whose modules import the changed one (and gives trials a new key).
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

__all__ = ["code_digest", "import_closure"]

_ROOT = Path(__file__).resolve().parent
_PACKAGE = _ROOT.name


def code_digest(module: str) -> str:
    """Return the digest of ``module`` (as ``evidence_hpo.steps.run_trials``) and its import closure.

    Raises:
        ModuleNotFoundError: The package has no such module.
    """
    parts = {name: _module_digest(name) for name in import_closure(module)}
    text = "".join(f"{name}={digest}\n" for name, digest in sorted(parts.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def import_closure(module: str) -> frozenset[str]:
    """Return the package's modules that importing ``module`` can reach, itself included.

    Imports inside functions count as well. Importing ``a.b.c`` also runs ``a`` and ``a.b``.
    """
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        waiting.extend(_imports(name))
    return frozenset(seen)


def _file(module: str) -> Path:
    relative = Path(*module.split(".")[1:])
    for candidate in (_ROOT / relative / "__init__.py", (_ROOT / relative).with_suffix(".py")):
        if candidate.is_file():
            return candidate
    raise ModuleNotFoundError(f"no module {module}")


def _exists(module: str) -> bool:
    try:
        _file(module)
    except (ModuleNotFoundError, ValueError):
        return False
    return True


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))


@cache
def _module_digest(module: str) -> str:
    tree = ast.parse(_file(module).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            node.body
            and isinstance(node.body[0], ast.Expr)
            and isinstance(node.body[0].value, ast.Constant)
            and isinstance(node.body[0].value.value, str)
        ):
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@cache
def _imports(module: str) -> frozenset[str]:
    found: set[str] = set()
    parents = module.split(".")
    found.update(".".join(parents[:length]) for length in range(2, len(parents)))
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found.update(name for name in names if name.split(".")[0] == _PACKAGE and "." in name and _exists(name))
    for name in list(found):
        pieces = name.split(".")
        found.update(".".join(pieces[:length]) for length in range(2, len(pieces)))
    found.discard(module)
    return frozenset(found)
