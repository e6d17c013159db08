"""Tensor names and paths come from strangers: how they are shown to people."""

LONGEST = 200  # characters of a name that are shown


def escape(text: object) -> str:
    """The text on one line without control characters, so that it cannot steer a terminal.

    Whatever `str.isprintable` refuses (newlines, ANSI escapes, right-to-left marks) is written as
    Python would, `\\x1b`; a backslash is doubled. A name beyond 200 characters loses its middle.
    """
    name = str(text)
    if len(name) > LONGEST:
        name = f"{name[: LONGEST // 2]}…{name[-LONGEST // 2 + 1 :]}"
    if name.isprintable() and "\\" not in name:
        return name
    return "".join("\\\\" if c == "\\" else c if c.isprintable() else repr(c)[1:-1] for c in name)
