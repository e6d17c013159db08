"""How to erase: the options of an erasure, their defaults and ranges."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ckptedit.erasure import OBJECTIVES
from ckptedit.errors import BadParam
from ckptedit.guards import GUARDS
from ckptedit.guards.guard import Guard
from ckptedit.guards.parameters import resolved
from ckptedit.params import typed
from ckptedit.text.tokens import require_tokens

DEFAULT_GUARDS = ("gradproj:soft", "distill")


@dataclass(frozen=True)
class Options:
    """How to erase.

    guards:   names of GUARDS, any combination; none: nothing restrains the edit
    tokens:   which embeddings of retained prompts `gradproj:hard` protects: "concept" or "all"
    steps:    1 or more; lr: above 0; batch: rows a step, and as many again with `distill`
    pictures: latents drawn for the bank, for the targets and for what is retained
    params:   guard -> its own keyword arguments
    """

    objective: str = "conabl"
    guards: Sequence[str] = DEFAULT_GUARDS
    tokens: str = "all"
    steps: int = 150
    lr: float = 5e-4
    batch: int = 16
    seed: int = 0
    pictures: int = 40
    moments: int = 12
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def check(self) -> None:
        """Raises BadParam for what is out of range, UnknownName for what is not registered."""
        if not 0 <= self.seed < 2**63:
            raise BadParam(f"seed must be in 0..2^63-1, not {self.seed}")
        for name in ("steps", "batch", "pictures", "moments"):
            if getattr(self, name) < 1:
                raise BadParam(f"{name} must be 1 or more, not {getattr(self, name)}")
        if not 0 < self.lr < float("inf"):
            raise BadParam(f"lr must be above 0, not {self.lr}")
        require_tokens(self.tokens)
        OBJECTIVES[self.objective]
        for guard in self.guards:
            make_guard(guard, self)
        for guard in self.params:
            if guard not in self.guards:
                raise BadParam(f"there are parameters for the guard {guard!r}, which is not in use")

    def facts(self) -> dict[str, Any]:
        """What the ledger keeps: every option, those of the guards resolved."""
        return asdict(self) | {"params": resolved(self.guards, self.params)}


DEFAULTS = Options()


def make_guard(name: str, options: Options) -> Guard:
    """A guard with its own parameters. Raises BadParam for one that is unknown or out of range."""
    kind = GUARDS[name]
    made: Guard = kind(**typed(kind, options.params.get(name, {}), name))
    return made
