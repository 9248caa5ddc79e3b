"""The package's rooms: who may import whom."""

import ast
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

from tests.conftest import ROOT

PACKAGE = ROOT / "serving/mnist_serving"
TRANSPORT = "mnist_serving.http.transport"


def module_name(path: Path) -> str:
    """Return the dotted name of a module of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def imports(name: str) -> set[str]:
    """Return the modules of the package that a module imports, wherever in it: also in functions and for types."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            names = {f"{origin}.{alias.name}" for alias in node.names}
            found |= (names & MODULES.keys()) or {origin}
    return found & MODULES.keys()


def test_no_module_imports_itself_by_a_detour() -> None:
    order = [*TopologicalSorter({name: imports(name) for name in MODULES}).static_order()]  # raises CycleError
    assert len(order) == len(MODULES) > 30


def test_the_transport_imports_nothing_of_the_package_but_itself() -> None:
    transport = [name for name in MODULES if name.startswith(TRANSPORT)]
    assert len(transport) > 5
    assert all(other.startswith(TRANSPORT) for name in transport for other in imports(name))


def test_the_room_for_http_alone_imports_the_transport_and_through_its_door() -> None:
    others = {name: imports(name) for name in MODULES if not name.startswith(TRANSPORT)}
    assert [name for name in others if TRANSPORT in others[name]], "then this test looks at nothing"
    assert all(name.startswith("mnist_serving.http") for name in others if TRANSPORT in others[name])
    assert not [name for name in others if any(other.startswith(f"{TRANSPORT}.") for other in others[name])]
