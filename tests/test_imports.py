"""The rooms of the library: imports go down, and never in a circle."""

import ast
from pathlib import Path

import pytest

import matlib

ROOT = Path(matlib.__file__).parent

#: What each room imports nothing of.
CLOSED = {
    "matlib.geometry": ("matlib.models", "matlib.data", "matlib.evaluation", "matlib.runs", "matlib.report"),
    "matlib.losses": ("matlib.models", "matlib.data", "matlib.evaluation", "matlib.runs", "matlib.report"),
    "matlib.models": ("matlib.data", "matlib.evaluation", "matlib.runs", "matlib.report", "matlib.scoring",
                      "matlib.training", "matlib.testing", "matlib.objective", "matlib.ablations"),
    "matlib.baselines": ("matlib.data", "matlib.runs", "matlib.report", "matlib.scoring", "matlib.training",
                         "matlib.testing", "matlib.objective", "matlib.ablations"),
    "matlib.data": ("matlib.models", "matlib.evaluation", "matlib.runs.launch", "matlib.report", "matlib.training"),
    "matlib.evaluation": ("matlib.runs", "matlib.report", "matlib.scoring", "matlib.training", "matlib.testing"),
    "matlib.runs": ("matlib.report", "matlib.training", "matlib.testing", "matlib.scoring"),
    "matlib.objective": ("matlib.data", "matlib.runs", "matlib.report", "matlib.evaluation"),
    "matlib.training": ("matlib.report", "matlib.scoring"),
    "matlib.annyville": ("matlib.models", "matlib.data.readers", "matlib.evaluation", "matlib.runs", "matlib.report"),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def lies_in(module: str, room: str) -> bool:
    return (module + ".").startswith(room + ".")


FILES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(module: str, inside: bool = False) -> set[str]:
    """The modules of matlib that one imports when it is imported itself; with ``inside`` its functions' as well."""
    package = module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree) if inside else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[:len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in FILES else base for alias in node.names}
    return {name for name in found if name in FILES and name != module}


@pytest.mark.parametrize("room", CLOSED)
def test_no_room_imports_one_above_it(room):
    climbs = [f"{module} imports {other}" for module in FILES if lies_in(module, room)
              for other in imports(module, inside=True) if any(lies_in(other, closed) for closed in CLOSED[room])]
    assert climbs == []


def test_imports_go_in_no_circle():
    done, path = set(), []

    def visit(module: str) -> None:
        assert module not in path, " -> ".join([*path[path.index(module):], module])
        if module in done:
            return
        path.append(module)
        for other in sorted(imports(module)):
            visit(other)
        path.pop()
        done.add(module)

    for module in FILES:
        visit(module)


def test_every_room_that_is_named_is_there():
    assert all(any(lies_in(module, room) for module in FILES)
               for rooms in ([*CLOSED], *CLOSED.values()) for room in rooms)
