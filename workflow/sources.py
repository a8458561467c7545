"""What a notebook runs of this project's code, found by reading it, and a digest that changes when that does.

A statement counts, of any module that the notebook imports, itself or through others, starts by its name (`-m`) or
names in a string (`module:Class`). A comment counts where the notebook prints the code that it is in, a docstring
where it prints docstrings.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from matlib.report.text import without_docstrings

#: The library's functions that print the code of what they are given, and whether they print docstrings.
PRINTERS = {"show_source": False, "method_notes": True}


def _statements(path: Path) -> ast.Module:
    return _parse(path.read_text(encoding="utf-8"))


@cache
def _parse(text: str) -> ast.Module:
    """A file without its docstrings and comments."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(getattr(node, "body", None), list):
            node.body = [each for each in node.body if not (isinstance(each, ast.Expr) and _is_string(each.value))]
    return tree


@cache
def _code(tree: ast.Module) -> str:
    return _hash(ast.dump(tree).encode())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Sources:
    """The modules of a package, and those that lie alone in a folder."""

    def __init__(self, package: Path, folder: Path):
        self.paths = {_name(path, package.parent): path for path in sorted(package.rglob("*.py"))}
        self.paths |= {path.stem: path for path in sorted(folder.glob("*.py"))}
        data = (path for path in sorted(package.rglob("*")) if path.suffix not in (".py", ".pyc", ""))
        self.data = [f"{path.name} {_hash(path.read_bytes())}" for path in data]

    def digest(self, notebook: Path) -> str:
        """Of all that the notebook runs, and of the text of what it prints."""
        return self._digest(*self.read(notebook))

    def digest_of(self, module: str) -> str:
        """The same, of a module that is started by its name."""
        return self._digest(self._all_behind({module}))

    def read(self, notebook: Path) -> tuple[set[str], dict[str, bool]]:
        """The modules that a notebook runs, and those whose text it prints, with whether their docstrings are part of
        it; all, where it is not plain Python."""
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        try:
            tree = ast.parse("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
        except SyntaxError:
            return set(self.paths), dict.fromkeys(self.paths, True)
        return self._all_behind(self._named(tree, "")), dict(sorted(self._printed(tree)))  # True stands last

    def _digest(self, runs: Iterable[str], prints: Mapping[str, bool] = MappingProxyType({})) -> str:
        lines = [f"{name} {_code(_statements(self.paths[name]))}" for name in sorted(runs)]
        for name in sorted(prints):
            text = self.paths[name].read_text(encoding="utf-8")
            lines.append(f"{name} {_hash((text if prints[name] else without_docstrings(text)).encode())}")
        return _hash("\n".join([*lines, *self.data]).encode())

    def _all_behind(self, names: set[str]) -> set[str]:
        """The modules, their packages, what these name, and so on."""
        found: set[str] = set()
        while names := (names | {name.rpartition(".")[0] for name in names} - {""}) - found:
            found |= names
            names = set().union(*map(self._behind, names))
        return found

    @cache
    def _behind(self, module: str) -> set[str]:
        return self._named(_statements(self.paths[module]), self._package(module))

    def _package(self, module: str) -> str:
        return module if self.paths[module].stem == "__init__" else module.rpartition(".")[0]

    def _named(self, tree: ast.AST, package: str) -> set[str]:
        """The modules that statements of a package import, wherever they stand, or name in a string."""
        found = self._in_strings(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = _base(node, package)
                found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        return found & self.paths.keys()

    def _in_strings(self, tree: ast.AST) -> set[str]:
        """Named as `package.module`, `module:Class`, or by the beginning, as in f"matlib.baselines.{name}".

        Not in a call of `program`: the help of a command has its name, and does not start it.
        """
        nodes = [*ast.walk(tree)]
        help_ = {id(given) for node in nodes if isinstance(node, ast.Call) and _last_name(node.func) == "program"
                 for given in node.args}
        found: set[str] = set()
        for text in (node.value for node in nodes if _is_string(node) and id(node) not in help_):
            name, colon, _ = text.partition(":")
            if name.endswith("."):
                found |= {module for module in self.paths if module.startswith(name)}
            elif (colon or "." in name) and name in self.paths:
                found.add(name)
        return found

    def _printed(self, tree: ast.AST) -> Iterator[tuple[str, bool]]:
        """The modules of the names in calls of a printer, and those that these name in strings: a table's rows do; each
        with whether its docstrings are printed."""
        places = {alias.asname or alias.name: (node.module, alias.name) for node in ast.walk(tree)
                  if isinstance(node, ast.ImportFrom) for alias in node.names}
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and _last_name(call.func) in PRINTERS:
                names = {node.id for given in call.args for node in ast.walk(given) if isinstance(node, ast.Name)}
                for module in {self._home(*places[name]) for name in names & places.keys()} & self.paths.keys():
                    for each in {module, *self._in_strings(_statements(self.paths[module]))}:
                        yield each, PRINTERS[_last_name(call.func)]

    def _home(self, module: str, name: str) -> str:
        """The module of a name that is imported from one: packages hand on what their modules define."""
        if f"{module}.{name}" in self.paths:
            return f"{module}.{name}"
        for node in _statements(self.paths[module]).body if module in self.paths else ():
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return self._home(_base(node, self._package(module)), alias.name)
        return module


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _base(node: ast.ImportFrom, package: str) -> str:
    """The module that an import is from, dots in front resolved."""
    above = package.split(".")[:len(package.split(".")) + 1 - node.level] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


def _last_name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
