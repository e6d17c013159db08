"""Which guard a parameter is for: `energy=0.9`, or `gradproj:hard.energy=0.9`."""

from collections.abc import Mapping, Sequence
from typing import Any

from ckptedit.errors import BadParam
from ckptedit.guards import GUARDS
from ckptedit.params import defaults, hyperparameters, typed


def guard_params(given: Mapping[str, Any], guards: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Hands parameters to the guards that have them, checked and as the types they should be.

    given:   name -> value, as text or not; a guard's name and a dot may stand before the name
    returns: guard -> its keyword arguments, those that were given
    Raises BadParam if no guard in use has one, or if several do and none is named.
    """
    found: dict[str, dict[str, Any]] = {guard: {} for guard in guards}
    for key, value in given.items():
        owner, _, name = key.rpartition(".")
        having = [g for g in guards if owner in ("", g) and name in hyperparameters(GUARDS[g])]
        if not having:
            raise BadParam(f"no guard in use has a parameter {key}; there are: {_listed(guards)}")
        if len(having) > 1:
            raise BadParam(
                f"{name} is a parameter of {' and '.join(having)}: say {having[0]}.{name}"
            )
        found[having[0]] |= typed(GUARDS[having[0]], {name: value}, having[0])
    return {guard: params for guard, params in found.items() if params}


def resolved(guards: Sequence[str], params: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All parameters of the guards in use, defaults among them, by guard."""
    return {guard: defaults(GUARDS[guard]) | dict(params.get(guard, {})) for guard in guards}


def _listed(guards: Sequence[str]) -> str:
    names = [f"{guard}.{name}" for guard in guards for name in hyperparameters(GUARDS[guard])]
    return ", ".join(names) or "none"
