"""Rooms that can be called: `ckptedit.erase(...)` is the command, `ckptedit.erase.train` a module.

A command and the folder of its code share a name, and whichever Python met first would hide the
other. So the folder's module is made callable, and passes the call on.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class CallableRoom(ModuleType):
    """A package whose call is that of one of its functions."""

    called: str  # "module:function", imported when the room is called

    def __call__(self, *args: Any, **options: Any) -> Any:
        module, _, function = self.called.partition(":")
        return getattr(import_module(module), function)(*args, **options)


def make_callable(room: str, called: str) -> None:
    """Turns the imported package `room` into one that can be called. called: "module:function"."""
    module = sys.modules[room]
    module.__class__ = CallableRoom
    setattr(module, "called", called)  # noqa: B010 - mypy knows a plain module only
