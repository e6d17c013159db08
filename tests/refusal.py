"""The contract of every refusal: an exit status, one line on stderr, nothing on stdout."""

from typer.testing import Result


def refused(done: Result, *said: str, status: int = 2) -> None:
    """Checks that a command refused, and that its line holds what should be said."""
    assert done.exit_code == status, (said, done.output)
    assert done.stdout == ""
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    for words in said:
        assert words in done.stderr, done.stderr
