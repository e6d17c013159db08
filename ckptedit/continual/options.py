"""How each request is erased: its own options before the command's, those before the list's."""

from collections.abc import Mapping
from typing import Any

from ckptedit.erasure.checks import TRAINING, usual_method
from ckptedit.erasure.options import METHODS, Options, assigned
from ckptedit.errors import BadParam

OF_OPTIONS = ("roles", "init", "guards", "tokens", "steps", "lr", "clip", "batch", "pictures",
              "moments", "min_erase", "max_drift", "seed")  # fmt: skip


def keywords(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options as `erase` takes them: the method named, and its parameters handed to their owners.

    given: of OPTIONS in `requests`; `params` as {"density": 0.3} or {"ties": {"density": 0.3}}
    Raises BadParam, UnknownName as `Options.check` does.
    """
    found = dict(given)
    params = _flat(found.pop("params", {}))
    own = {name: found[name] for name in OF_OPTIONS if name in found}
    method = found.get("method") or usual_method(own)
    bare = Options(method=method, guards=own.get("guards"), init=own.get("init"))
    idle = [name for name in own if name in TRAINING and name != "init"]
    if idle and not bare.trained:
        raise BadParam(f"{idle[0]} is of a training, and {method} is a closed form; leave it out")
    found |= {"method": method, "params": assigned(params, bare.owners)}
    resolved(found).check()
    return found


def resolved(found: Mapping[str, Any]) -> Options:
    """The options of one erasure, from the keywords of `erase`."""
    own = {name: found[name] for name in OF_OPTIONS if name in found}
    return Options(method=found["method"], params=found["params"], **own)


def is_trained(given: Mapping[str, Any]) -> bool:
    """Whether options name a method that is trained, or none, and something of a training."""
    method = given.get("method") or usual_method(given)
    return Options(method=METHODS.spelled(method)[0]).trained


def gathered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Options of several layers, the last one's first; parameters are gathered from all."""
    found: dict[str, Any] = {}
    params: dict[str, Any] = {}
    for layer in layers:
        found |= layer
        params |= _flat(layer.get("params", {}))
    return found | ({"params": params} if params else {})


def _flat(params: Mapping[str, Any]) -> dict[str, Any]:
    """{"ties": {"density": 0.3}} is {"ties.density": 0.3}."""
    found: dict[str, Any] = {}
    for owner, value in params.items():
        if isinstance(value, Mapping):
            found |= {f"{owner}.{name}": each for name, each in value.items()}
        else:
            found[owner] = value
    return found
