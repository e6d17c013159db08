"""How to erase: the options of an erasure, their defaults and ranges."""

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ckptedit import guards
from ckptedit.diffusion.moments import Want
from ckptedit.erasure.checks import TRAINING
from ckptedit.erasure.closed_forms import CLOSED_FORMS
from ckptedit.erasure.objectives import DEFAULT, OBJECTIVES
from ckptedit.errors import BadParam
from ckptedit.guards import GUARDS
from ckptedit.params import Within, defaults, hyperparameters, require_seed, typed
from ckptedit.registry import Registry
from ckptedit.subspaces.basis import Basis
from ckptedit.text.tokens import require_tokens

METHODS = Registry("method", ChainMap(OBJECTIVES.targets, CLOSED_FORMS.targets))
LIMITS = ("min_erase", "max_drift")  # mean nothing to a training


@dataclass(frozen=True)
class Options:
    """How to erase.

    method:   a name of OBJECTIVES, which is trained, or of CLOSED_FORMS, which is not
    roles:    of the weights to edit, "k", "v", "kv", or what else the method can; None: its own
              default
    init:     a closed form that a training starts from; None: from the checkpoint as it is
    guards:   names of GUARDS, any combination; none: nothing restrains the edit; None: the default
              ones for what is trained, as far as they leave it room
    basis:    a subspace of embeddings that no edit may move, beside all guards; None: none
    tokens:   which embeddings of retained prompts `gradproj:hard` protects: "concept" or "all"
    clip:     the largest norm of a step's gradient, above 0; None: any
    steps:    1 or more; lr: above 0; batch: moments a step, and as many again with `distill`
    pictures: latents drawn for the bank, for the targets and for what is retained
    min_erase, max_drift: of a closed form, as in `scaled`
    params:   method, initial closed form or guard -> its own keyword arguments

    "fdiv:alpha=0.3" for a method, a closed form or a guard is that name, with alpha at 0.3.
    """

    method: str = DEFAULT
    roles: str | None = None
    init: str | None = None
    guards: Sequence[str] | None = None
    basis: Basis | None = None
    tokens: str = "all"
    steps: int = 150
    lr: float = 5e-4
    clip: float | None = None
    batch: int = 16
    seed: int = 0
    pictures: int = 40
    moments: int = 12
    min_erase: float | None = None
    max_drift: float | None = None
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        params = {owner: dict(given) for owner, given in self.params.items()}

        def bare(registry: Registry, text: str) -> str:
            name, also = registry.spelled(text)
            own = params.setdefault(name, {}) if also else {}
            for key, value in typed(_kind(name), also, name).items() if also else ():
                if own.setdefault(key, value) != value:
                    raise BadParam(f"{key} is given twice: {value} and {own[key]}")
            return name

        chosen: dict[str, Any] = {"method": bare(METHODS, self.method)}
        if self.init is not None:
            chosen["init"] = bare(CLOSED_FORMS, self.init)
        if self.guards is not None:
            chosen["guards"] = tuple(bare(GUARDS, guard) for guard in self.guards)
        for name, value in (chosen | {"params": params}).items():
            object.__setattr__(self, name, value)  # as a frozen dataclass sets its own

    @property
    def trained(self) -> bool:
        return self.method in OBJECTIVES

    @property
    def edited(self) -> str:
        """The roles of the weights to edit."""
        return self.roles or str(_kind(self.method).roles[0])

    @property
    def owners(self) -> tuple[str, ...]:
        """All that has parameters of its own. Raises UnknownName for a method that is none."""
        METHODS[self.method]
        return (self.method, *([self.init] if self.init else []), *self.guarded_by)

    @property
    def guarded_by(self) -> tuple[str, ...]:
        """The guards in use."""
        if self.guards is not None:
            return tuple(self.guards)
        if not self.trained:
            return ()
        masks = _kind(self.method).masks
        return tuple(name for name in guards.DEFAULT if not (masks and _kind(name).narrow))

    def check(self) -> None:
        """Raises BadParam for what is out of range, UnknownName for what is not registered."""
        require_seed(self.seed)
        for name in ("steps", "batch", "pictures", "moments"):
            if getattr(self, name) < 1:
                raise BadParam(f"{name} must be 1 or more, not {getattr(self, name)}")
        if not 0 < self.lr < float("inf"):
            raise BadParam(f"lr must be above 0, not {self.lr}")
        if self.clip is not None and not 0 < self.clip < float("inf"):
            raise BadParam(f"clip must be above 0, not {self.clip}")
        self._check_limits()
        require_tokens(self.tokens)
        can = METHODS[self.method].roles  # type: ignore[attr-defined]
        if self.roles is not None and self.roles not in can:
            raise BadParam(f"{self.method} edits {' or '.join(can)}, not {self.roles!r}")
        if self.basis and not set(self.edited) <= set("kv"):
            raise BadParam(
                f"a basis protects what K/V weights read, and {self.method} edits {self.edited!r}; "
                f"leave out --basis"
            )
        self._check_init()
        if self.guarded_by and not self.trained:
            raise BadParam(
                f"{self.method} is a closed form: guards restrain a training, and nothing is "
                f"trained here; leave out --guard, or name what is trained: --list-methods"
            )
        self._check_room({owner: self.make(owner) for owner in self.owners})
        for owner in self.params:
            if owner not in self.owners:
                raise BadParam(f"there are parameters for {owner!r}, which is not in use")

    def _check_limits(self) -> None:
        for name, within in (("min_erase", Within("(0, 1]")), ("max_drift", Within("(0, inf)"))):
            value = getattr(self, name)
            if value is not None and value not in within:
                raise BadParam(f"{name} must be {within}, not {value}")
            if value is not None and self.trained:
                raise BadParam(
                    f"{name} scales the change of a closed form, and {self.method} is trained; "
                    f"leave it out, or name a closed form: --list-methods"
                )

    def _check_room(self, made: Mapping[str, Any]) -> None:
        """Raises BadParam for a mask of single entries beside a guard of few directions."""
        masking = [owner for owner, each in made.items() if getattr(each, "masks", False)]
        narrow = [owner for owner, each in made.items() if getattr(each, "narrow", False)]
        if masking and narrow:
            raise BadParam(
                f"{masking[0]} lets single weights move, and {narrow[0]} a few directions of whole "
                f"rows: nothing can do both; leave out one of them, or mask whole rows"
            )

    def _check_init(self) -> None:
        if self.init is None:
            return
        if not self.trained:
            raise BadParam(f"{self.method} is a closed form: it starts from nothing else")
        if self.edited not in CLOSED_FORMS[self.init].roles:  # type: ignore[attr-defined]
            raise BadParam(f"{self.init} cannot start a training of {self.edited!r} weights")

    def make(self, owner: str) -> Any:
        """The method or a guard, with its own parameters; BadParam if one is out of range."""
        return _kind(owner)(**typed(_kind(owner), self.params.get(owner, {}), owner))

    def comparing(self) -> list[str]:
        """What in use needs the weights before all edits."""
        return [o for o in self.owners if getattr(self.make(o), "needs_original", False)]

    def stages(self) -> list[tuple[str, float]]:
        """What `erase` shows progress of, in order, and how many passes of the UNet each takes."""
        asked = self.asked()
        words = [("reading the vocabulary", 0.0), ("reading the lexicon", 0.0)]
        words = words if {"general", "slots"}.intersection(asked) else []
        wants = [want for want in asked if not isinstance(want, str)]
        step = 3 * self.batch * (2 if any(want.of == "retained" for want in wants) else 1)
        steps = [("erasing", float(step * self.steps))] if self.trained else []
        return [*words, *(stage for want in wants for stage in self._bank(want)), *steps]

    def asked(self) -> list[str | Want]:
        """What is in use asks for, each once."""
        return list(dict.fromkeys(want for owner in self.owners for want in self.make(owner).asks))

    def _bank(self, want: Want) -> list[tuple[str, float]]:
        teaching = ("teaching", float(self.pictures * self.moments))
        return [("sampling", 24.0 * self.pictures), *[teaching] * (1 + len(want.views))]

    def facts(self) -> dict[str, Any]:
        """What the ledger keeps: every option that had a meaning, the parameters resolved."""
        found = asdict(self) | {"guards": list(self.guarded_by), "roles": self.edited}
        found["basis"] = self.basis and self.basis.facts
        for name in LIMITS if self.trained else TRAINING:
            del found[name]
        return found | {
            "params": {o: defaults(_kind(o)) | dict(self.params.get(o, {})) for o in self.owners}
        }


DEFAULTS = Options()


def assigned(given: Mapping[str, Any], owners: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Hands parameters to those in use that have them, as the types they should be.

    owners: `Options.owners`
    given:    name -> value, as text or not; an owner's name and a dot may stand before the name:
             "gradproj:soft.rank"
    returns: owner -> its keyword arguments, those that were given
    Raises BadParam if nothing in use has one, or if several do and none is named.
    """
    found: dict[str, dict[str, Any]] = {owner: {} for owner in owners}
    for key, value in given.items():
        owner, _, name = key.rpartition(".")
        having = [o for o in owners if owner in ("", o) and name in hyperparameters(_kind(o))]
        if not having:
            raise BadParam(f"nothing in use has a parameter {key}; there are: {_listed(owners)}")
        if len(having) > 1:
            raise BadParam(
                f"{name} is a parameter of {' and '.join(having)}: say {having[0]}.{name}"
            )
        found[having[0]] |= typed(_kind(having[0]), {name: value}, having[0])
    return {owner: params for owner, params in found.items() if params}


def _kind(owner: str) -> Any:
    return METHODS[owner] if owner in METHODS else GUARDS[owner]


def _listed(owners: Sequence[str]) -> str:
    names = [f"{owner}.{name}" for owner in owners for name in hyperparameters(_kind(owner))]
    return ", ".join(names) or "none"
