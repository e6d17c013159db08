"""The rules of the house: what may import what, who prints, how fast help is."""

import ast
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ckptedit
from ckptedit.cli import COMMANDS, HIDDEN, KEYWORDS, app

PACKAGE = Path(ckptedit.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py")

# from the ground up; a room imports only from those before it
# fmt: off
ROOMS = ["files", "families", "deltas", "text", "conversion", "concepts", "subspaces", "diffusion",
         "guards", "erasure", "merging", "drift", "evaluation", "audits", "continual", "reports",
         "canvas", "cli"]
# fmt: on
LIGHT = ("files", "deltas", "conversion", "merging", "drift")  # work without these
HEAVY = ("diffusers", "transformers")
SLOW = ("torch", *HEAVY)
HELP_SECONDS = 0.4


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """The modules that a file imports, and whether it does so at its top."""
    tree = ast.parse(path.read_text())
    at_top = set(map(id, _run_on_import(tree)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from ((name, id(node) in at_top) for name in names)


def _run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those inside functions and `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _run_on_import(child)


def room(module: str) -> str | None:
    """The room of a module: "files" for "ckptedit.files.header", None outside of the rooms."""
    parts = module.split(".")
    return parts[1] if parts[0] == "ckptedit" and len(parts) > 1 and parts[1] in ROOMS else None


def room_of(path: Path) -> str | None:
    return room(".".join(("ckptedit", *path.relative_to(PACKAGE).with_suffix("").parts)))


def shown(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_folder_of_the_package_is_a_known_room():
    folders = {path.parent.relative_to(PACKAGE).parts[0] for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= set(ROOMS)


def test_a_room_imports_only_from_rooms_above_it():
    for path in FILES:
        here = room_of(path)
        for module, at_top in imports(path):
            there = room(module)
            if path == PACKAGE / "__init__.py":  # the face of all rooms, for type checkers only
                assert there is None or not at_top
                continue
            if there is None or there == here:
                continue
            assert here is not None, f"{shown(path)} stands above all rooms, but imports {module}"
            assert ROOMS.index(there) < ROOMS.index(here), f"{shown(path)} imports {module}"
            assert there != "canvas" or path.name == "train_mini.py", "only training draws pictures"


def test_only_the_command_line_prints_and_knows_typer():
    for path in FILES:
        if room_of(path) == "cli":
            continue
        foreign = {module.split(".")[0] for module, _ in imports(path)}
        assert not {"typer", "click"} & foreign, shown(path)
        tree = ast.walk(ast.parse(path.read_text()))
        calls = [node.func for node in tree if isinstance(node, ast.Call)]
        names = {call.id for call in calls if isinstance(call, ast.Name)}
        assert "print" not in names, shown(path)


def test_files_merge_and_diff_need_no_diffusers_and_no_transformers():
    for path in FILES:
        if room_of(path) in LIGHT:
            foreign = {module.split(".")[0] for module, _ in imports(path)}
            assert not foreign & set(HEAVY), shown(path)


def test_commands_import_nothing_slow_at_their_top():
    for path in FILES:
        if room_of(path) == "cli":
            foreign = {module.split(".")[0] for module, top in imports(path) if top}
            assert not foreign & set(SLOW), shown(path)


METHODS = {  # registry -> the folders of what it lists; nothing else names a method
    "ckptedit.guards:GUARDS": ("guards",),
    "ckptedit.erasure.objectives:OBJECTIVES": ("erasure/objectives",),
    "ckptedit.erasure.closed_forms:CLOSED_FORMS": ("erasure/closed_forms",),
}
WORDS = {"anchor", "l1", "l2", "outputs"}  # guards whose names mean other things elsewhere


@pytest.mark.parametrize("registry", METHODS)
def test_only_its_own_file_and_the_registry_name_a_method(registry):
    module, _, table = registry.partition(":")
    names = set(getattr(import_module(module), table)) - WORDS
    for path in FILES:
        if str(path.relative_to(PACKAGE).parent) in METHODS[registry]:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.Constant) and node.value in names
            assert not named, f"{shown(path)}:{node.lineno} names {node.value!r}"


def test_the_files_room_imports_without_torch():
    code = "import sys, ckptedit.files; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)


def test_every_command_is_a_module_and_a_function_of_its_name():
    names = [command.callback.__name__ for command in app.registered_commands]
    assert names == [KEYWORDS.get(name, name) for name in COMMANDS + HIDDEN]
    files = {path.stem for path in (PACKAGE / "cli").glob("*.py")}
    assert set(names) <= files


@pytest.mark.parametrize("command", app.registered_commands, ids=lambda c: c.callback.__name__)
def test_the_help_of_every_command_ends_with_an_example(command):
    last = command.callback.__doc__.strip().split("\n\n")[-1].strip()
    assert last.startswith("Example: ckptedit "), last
    assert command.name in last


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_needs_nothing_slow_and_less_than_two_fifths_of_a_second(command):
    """Counts processor time, so that a busy machine does not fail it; help waits for nothing."""
    code = (
        "import sys; from ckptedit.cli import app\n"
        "try: app(sys.argv[1:])\n"
        f"finally: assert not {set(SLOW)!r} & set(sys.modules), 'help imports something slow'"
    )
    arguments = [sys.executable, "-c", code, *([command] if command else []), "--help"]
    seconds = sorted(_processor_seconds(arguments) for _ in range(3))
    assert seconds[1] < HELP_SECONDS


def _processor_seconds(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(arguments, cwd=PACKAGE.parent, capture_output=True, env=os.environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr.decode()
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def test_help_reaches_the_user():
    for command in COMMANDS:
        assert "Example: ckptedit" in CliRunner().invoke(app, [command, "--help"]).stdout
