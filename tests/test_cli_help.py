"""What the help of every command holds: one spelling, every default, nothing cut off."""

from collections import defaultdict

import pytest
import typer
from typer.testing import CliRunner

from ckptedit.cli import COMMANDS, app
from ckptedit.erasure.options import DEFAULTS

GROUP = typer.main.get_command(app)

# the same word for what a command alone knows; cli/options.py has the rest
OF_ITS_OWN = {
    "--against",  # a checkpoint, or a subspace
    "--all",  # that moved, or that there is
    "--clip",  # the norm of a gradient, or a model
    "--concept",  # to work on, or to ask a ledger for
    "--help",
    "--anchor",  # to be drawn from now on, or as a ledger says
    "--keys",  # which tensors, or whose names of them
    "--kind",  # by the lexicon, or by a ledger
    "--max-drift",  # of one closed form, or from the base after every request
    "--merge",  # of requests by a method, or of the parts of a test
    "--method",  # of erasing, or of merging
    "--neighbors",  # to retain, or to list
    "--output",  # of diff, project and sample, which are not checkpoints
    "--prompt",  # to draw instead of a suite, or besides
    "--rank",  # of a subspace, or of a LoRA
    "--retain",  # from an edit, or in a test
    "--scale",  # a number, or found by a rule
    "--seeds",
    "--steps",  # of training, or of the solver
    "--threads",  # of a training, whose bytes depend on it, or of work whose bytes do not
    "--tokens",
}


def options(command: str):
    return [
        option for option in GROUP.commands[command].params if option.param_type_name == "option"
    ]


def explained(command: str, option) -> str:
    """What the help says of an option."""
    context = typer.Context(GROUP.commands[command])
    return " ".join(option.get_help_record(context)[1].split())


def test_an_option_of_several_commands_is_spelled_and_explained_once():
    found = defaultdict(set)
    for command in COMMANDS:
        for option in options(command):
            name = max(option.opts, key=len)
            found[name].add((*option.opts, option.metavar, option.help))
    twice = {name for name, spellings in found.items() if len(spellings) > 1}
    assert twice <= OF_ITS_OWN, {name: found[name] for name in twice - OF_ITS_OWN}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_that_takes_a_value_shows_its_default(command):
    for option in options(command):
        if not option.is_flag and not option.required:
            assert "default: " in explained(command, option), option.name


@pytest.mark.parametrize("name", ["steps", "lr", "batch", "pictures", "seed"])
def test_the_defaults_of_erase_are_those_of_the_library(name):
    (option,) = (option for option in options("erase") if option.name == name)
    assert option.help.endswith(f"; default: {getattr(DEFAULTS, name)}.")


def test_no_line_of_the_list_of_commands_is_cut_off():
    done = CliRunner().invoke(app, ["--help"], terminal_width=80)
    listed = done.stdout.split("Commands:\n")[1].split("\n\n")[0]
    assert len(listed.strip().splitlines()) == len(COMMANDS) and "..." not in listed


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_the_example_can_be_copied_from_a_narrow_terminal(command):
    known = GROUP.commands[command] if command else GROUP
    done = CliRunner().invoke(app, [command] * bool(command) + ["--help"], terminal_width=40)
    (example,) = (line for line in done.stdout.splitlines() if "Example: " in line)
    (written,) = (line for line in known.callback.__doc__.splitlines() if "Example: " in line)
    assert example.strip() == written.strip()
