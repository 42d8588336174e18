"""An edition without the hooks of tracing: what tracing costs while nobody asks for it is measured against this.

python -m shared.lab.controls.unhooked wsgi|asgi [with-hooks]

The hooks are taken out of the source while it is imported: every branch for a traced request, and every look for a
trace. The rest is the edition as it stands, so that this control needs no care when the edition changes. A module in
which nothing is found any more ends the start. With hooks, the same modules come the same way and stay as they are:
code that was compiled in memory and code that was read from a file differ by as much as the hooks may cost.
"""

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import runpy
import sys
from collections.abc import Callable
from collections.abc import Sequence
from types import ModuleType
from typing import Any

# Where untraced requests pass a hook.
HOOKED = (
    *("asgi_app.app", "asgi_app.database"),
    "shared.pool",
    *("wsgi_app.app", "wsgi_app.database"),
)
# What holds a trace, or something that exists only with one.
NAMES = frozenset({"trace", "traced", "watch"})
WITH_HOOKS = "with-hooks"


class Unhook(ast.NodeTransformer):
    """Leaves the code that runs when there is no trace.

    Attributes:
        removed: How many hooks it has taken out.
    """

    def __init__(self) -> None:
        self.removed = 0

    def visit_If(self, node: ast.If) -> Any:
        """Take the branch without a trace."""
        self.generic_visit(node)
        match _is_none(node.test):
            case None:
                return node
            case True:
                kept: Sequence[ast.stmt] = node.body
            case False:
                kept = node.orelse
        self.removed += 1
        return list(kept)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        """Take the value without a trace."""
        self.generic_visit(node)
        is_none = _is_none(node.test)
        if is_none is None:
            return node
        self.removed += 1
        return node.body if is_none else node.orelse

    def visit_Assign(self, node: ast.Assign) -> Any:
        """Look for no trace."""
        self.generic_visit(node)
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        if _looks_for_trace(node.value) and names & NAMES:
            self.removed += 1
            node.value = ast.copy_location(ast.Constant(None), node.value)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        """Drop a method that does nothing any more but call the one it replaces."""
        before = self.removed
        self.generic_visit(node)
        node.body = _reachable(node.body) or [ast.copy_location(ast.Pass(), node)]
        if self.removed > before and _only_calls_super(node):
            return None
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from what is made of its source.

    Args:
        fullname: The module's name.
        path: Its file.
        parse: Returns the syntax tree of a source and its path.
    """

    def __init__(self, fullname: str, path: str, parse: Callable[[str, str], ast.Module]) -> None:
        super().__init__(fullname, path)
        self._parse = parse

    def get_code(self, fullname: str) -> Any:
        """Return the module's code, from its source and never from what was compiled before.

        Raises:
            ImportError: If it has no hook.
        """
        path = self.get_filename(fullname)
        return compile(self._parse(self.get_data(path).decode(), path), path, "exec")


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that have hooks.

    Args:
        parse: Returns the syntax tree of a source and its path.
    """

    def __init__(self, parse: Callable[[str, str], ast.Module]) -> None:
        self._parse = parse

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Return how to load a module; None for one that has no hooks."""
        found = importlib.machinery.PathFinder.find_spec(fullname, path) if fullname in HOOKED else None
        if found is None or found.origin is None:
            return None
        loader = Loader(fullname, found.origin, self._parse)
        return importlib.util.spec_from_file_location(fullname, found.origin, loader=loader)


def unhooked(source: str, path: str) -> ast.Module:
    """Return a module's syntax tree without hooks.

    Raises:
        ImportError: If it has none.
    """
    transformer = Unhook()
    tree: ast.Module = transformer.visit(ast.parse(source, path))
    if not transformer.removed:
        raise ImportError(f"{path} has no hook of tracing: this control is no control any more")
    return ast.fix_missing_locations(tree)


def _is_none(test: ast.expr) -> bool | None:
    """Return what a test for a trace gives without one; None for another test."""
    match test:
        case ast.Compare(ast.Name(name), [ast.Is()], [ast.Constant(None)]) if name in NAMES:
            return True
        case ast.Compare(ast.Name(name), [ast.IsNot()], [ast.Constant(None)]) if name in NAMES:
            return False
    return None


def _looks_for_trace(value: ast.expr) -> bool:
    """Tell whether a value is looked up, as a context variable's or an entry's is; be it under a condition."""
    if isinstance(value, ast.IfExp):
        return _looks_for_trace(value.body)
    return isinstance(value, ast.Call) and getattr(value.func, "attr", "") in {"get", "pop"}


def _reachable(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Return statements up to the first return at their level."""
    for place, statement in enumerate(body):
        if isinstance(statement, ast.Return):
            return list(body[: place + 1])
    return list(body)


def _only_calls_super(node: ast.FunctionDef) -> bool:
    body = [
        statement
        for statement in node.body
        if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        and not (isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant))
    ]
    match body:
        case [ast.Return(ast.Call(ast.Attribute(ast.Call(ast.Name("super")), name)))]:
            return name == node.name
        case [ast.Expr(ast.Call(ast.Attribute(ast.Call(ast.Name("super")), name))), *rest]:
            return name == node.name and all(isinstance(statement, ast.Return) for statement in rest)
    return False


if __name__ == "__main__":
    sys.meta_path.insert(0, Finder(ast.parse if WITH_HOOKS in sys.argv else unhooked))
    runpy.run_module(f"{sys.argv[1]}_app", run_name="__main__")
