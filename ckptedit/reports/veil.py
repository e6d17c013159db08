"""Names that a page must not tell, because the checkpoint's ledger keeps them as salted hashes."""

from collections.abc import Iterable

from ckptedit.concepts.names import distinct, normal
from ckptedit.files import escape


class Veil:
    """What a page calls a concept: by its name, or by a number where names are hidden.

    names: all that must not be told, if hidden
    """

    def __init__(self, hidden: bool, names: Iterable[str]) -> None:
        self.hidden = hidden
        numbered = enumerate(distinct(names), start=1) if hidden else ()
        self._labels = {normal(name): f"private concept {number}" for number, name in numbered}

    def __call__(self, name: str) -> str:
        if not self.hidden:
            return escape(name)
        return self._labels.get(normal(name), "a private concept")

    def all(self, names: Iterable[str]) -> str:
        return ", ".join(map(self, names))
