"""The `ckptedit` command. A subcommand is a file in this folder and a line in COMMANDS.

Nothing here or in a command's file may import torch, diffusers or transformers at the top: `--help`
answers in under 0.4 s. Commands import what they need in their bodies.
"""

import inspect
import os
import signal
import sys
from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from ckptedit import __version__
from ckptedit.cli.company import require_shared, verdict
from ckptedit.cli.erase_methods import ARGUMENTS
from ckptedit.cli.streams import secure_streams
from ckptedit.cli.trouble import told
from ckptedit.errors import CkptError

# names of modules in this folder, each with a function of the same name, as work goes
# fmt: off
COMMANDS = ["demo", "info", "sample", "project", "erase", "continual", "plan", "diff", "eval",
            "audit", "merge", "apply", "import", "export", "verify",
            "report"]
# fmt: on

KEYWORDS = {"import": "import_delta"}  # what Python has a use for -> the name of its module

HIDDEN = ["train_mini"]  # for those who develop the tool


class ErrorsToExit(TyperGroup):
    """Turns what can go wrong in any subcommand into one line on stderr and an exit status."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Reports wrong usage as any other error, where Typer would print a paragraph."""
        try:
            status = super().main(*args, **extra | {"standalone_mode": False})
        except CkptError as error:  # stdout is full or closed, and this was help
            typer.echo(f"error: {error}", err=True)
            status = 2
        except Exception as error:
            if not hasattr(error, "format_message"):  # Typer keeps its exceptions to itself
                raise
            message = error.format_message()
            speaks, status = verdict(2)
            if speaks:
                typer.echo(message if "\n" in message else misused(error, message), err=True)
        if not extra.get("standalone_mode", True):
            return status
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        from ckptedit.cli.interrupted import names_written

        ctx.meta[ARGUMENTS] = list(ctx.args)
        try:
            with names_written() as names:
                return super().invoke(ctx)
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, typer.Exit) or hasattr(error, "format_message"):
                raise
            command = self.commands.get(str(ctx.invoked_subcommand))
            options = {name for param in command.params for name in param.opts} if command else ()
            status = say_why(error, options, str(names), debug=ctx.params.get("debug", False))
            raise typer.Exit(status) from None


def say_why(
    error: BaseException, options: Collection[str] = (), interrupted: str = "interrupted", *,
    debug: bool,
) -> int:  # fmt: skip
    """Says on stderr what went wrong, with the traceback if debug; returns the exit status."""
    message, status = told(error, options, interrupted)
    speaks, status = verdict(status)
    if not speaks:
        return status
    if debug:
        import traceback

        traceback.print_exception(error)
    typer.echo(f"error: {message}", err=True)
    return status


def misused(error: Any, message: str) -> str:
    """One line about wrong usage, and where the right one is said."""
    context, message = getattr(error, "ctx", None), message.removesuffix(".")
    if context is None or message.endswith("?"):  # it asks whether another was meant
        return f"error: {message}"
    return f"error: {message}; see {context.command_path} --help"


app = typer.Typer(
    cls=ErrorsToExit,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would take longer to import than all else that --help needs
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, the same, or within limits; 1 they differ, a limit is exceeded, "
    "or a delta does not fit; 2 trouble; 75 busy: try again; 130 interrupted.",
)


def print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"ckptedit {__version__}")
        raise typer.Exit


def root(
    context: typer.Context,
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(
        False, "--version", help="Print the version.", is_eager=True, callback=print_version
    ),
) -> None:
    """Edit what text-to-image diffusion checkpoints know: safetensors in, safetensors out.

    Example: ckptedit demo && ckptedit erase base.safetensors --concept "Van Gogh"
    """
    require_shared(context.invoked_subcommand)


def help_of(command: Callable[..., None]) -> str:
    """The docstring, its example on a line of its own that no terminal's width breaks."""
    text = inspect.cleandoc(command.__doc__ or "")
    return text.replace("\n\nExample: ", "\n\n\b\nExample: ")


app.callback(help=help_of(root))(root)
for _name in COMMANDS + HIDDEN:
    _python = KEYWORDS.get(_name, _name)
    _command = getattr(import_module(f"ckptedit.cli.{_python}"), _python)
    app.command(_name.replace("_", "-"), help=help_of(_command), hidden=_name in HIDDEN)(_command)


def main() -> None:
    """The console script: dies quietly when the reader of a pipe goes away."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    secure_streams()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads starve small models,
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # numpy's the thread that hashes
    try:
        sys.exit(app())
    except (Exception, KeyboardInterrupt) as error:  # outside of any command
        sys.exit(say_why(error, debug="--debug" in sys.argv))
