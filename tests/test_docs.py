"""What the README, the docs and the recipes say exists: links, commands, options."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from ckptedit.cli import COMMANDS, HIDDEN, app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
RECIPES = sorted((ROOT / "recipes").glob("*.sh"))
GROUP = typer.main.get_command(app)
ENDS = set("();<>|&")  # of a simple command, in a shell


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: str) -> Iterator[str]:
    """The code blocks of a page, fenced as a shell's, or indented."""
    yield from re.findall(r"^```(?:sh|bash)\n(.*?)^```", page, re.S | re.M)
    for block in re.findall(r"(?:^\n|\A)((?:^ {4}.*\n)+)", page, re.M):
        yield re.sub(r"^ {4}", "", block, flags=re.M)


def inline(page: str) -> list[str]:
    return re.findall(r"`(ckptedit [^`\n]+)`", page)


def calls(text: str) -> Iterator[list[str]]:
    """The arguments of every `ckptedit` in lines of a shell."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars="".join(ENDS))
        words.whitespace_split = True
        try:
            found = list(words)
        except ValueError:  # a sentence with an apostrophe, or a string of several lines
            found = []
        while "ckptedit" in found:
            found = found[found.index("ckptedit") + 1 :]
            end = next((at for at, word in enumerate(found) if set(word) <= ENDS), len(found))
            if found[end : end + 1] and ">" in found[end] and found[end - 1].isdigit():
                end -= 1  # 2>
            yield found[:end]


def require_known(arguments: list[str]) -> None:
    """Checks that the command and its options exist."""
    name, *rest = arguments
    if name.startswith("-"):
        assert name in {opt for option in GROUP.params for opt in option.opts} | {"--help"}, name
        return
    assert name in GROUP.commands, f"there is no command {name}"
    known = {opt for option in GROUP.commands[name].params for opt in option.opts} | {"--help"}
    for word in rest:
        if re.match(r"--[a-z]", word):
            assert word.split("=")[0] in known, f"{name} has no option {word}"


def require_parses(arguments: list[str]) -> None:
    """Checks that the command line is complete, and its values are of their types."""
    require_known(arguments)
    if arguments[0] in GROUP.commands and "--help" not in arguments:
        GROUP.commands[arguments[0]].make_context(arguments[0], arguments[1:])


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_command_line_of_the_docs_parses(page):
    text = page.read_text()
    for block in blocks(text):
        for arguments in calls(block):
            require_parses(arguments)
    for code in inline(text):
        require_known(shlex.split(code)[1:])


def test_the_readme_shows_every_command():
    text = ROOT.joinpath("README.md").read_text()
    found = {arguments[0] for block in blocks(text) for arguments in calls(block)}
    assert {"demo", "erase", "diff"} <= found  # they are found at all
    for command in COMMANDS:
        assert f"| `{command}" in text, command


@pytest.mark.parametrize("recipe", RECIPES, ids=shown)
def test_every_option_in_a_recipe_exists(recipe):
    for arguments in calls(recipe.read_text()):
        require_known(arguments)


@pytest.mark.parametrize("command", COMMANDS + HIDDEN)
def test_every_example_in_a_help_parses(command):
    documented = GROUP.commands[command.replace("_", "-")].callback.__doc__
    found = list(calls(documented.split("Example: ")[1]))
    assert found
    for arguments in found:
        require_parses(arguments)


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_link_of_the_docs_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


def test_ci_runs_on_the_pythons_that_the_package_names():
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())["project"]
    language = "Programming Language :: Python :: "
    named = [c.removeprefix(language) for c in project["classifiers"] if c.startswith(language)]
    workflow = ROOT.joinpath(".github/workflows/ci.yml").read_text()
    (matrix,) = re.findall(r"^ +python: \[(.*)\]$", workflow, re.M)
    assert re.findall(r"[\d.]+", matrix) == named
    assert project["requires-python"] == f">={named[0]}"


def test_the_index_names_every_page():
    index = ROOT.joinpath("docs/README.md").read_text()
    for page in PAGES:
        if page.parent.name == "docs" and page.name != "README.md":
            assert f"]({page.name})" in index, page.name
