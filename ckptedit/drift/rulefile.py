"""Rules for `diff` in a TOML file, and baselines in JSON.

keys = ["!**.position_ids"]                       # compare only these: all but those
ignore = ["retyped"]                              # added, removed, reshaped, retyped
allow = ["model.diffusion_model.**.attn2.to_[kv].weight"]  # only these may change
[total]                                           # of all tensors together
relative = 0.03
cosine = 0.99                                     # at least
changed_tensors = 32
[[limit]]                                         # of each tensor that keys picks
keys = "cond_stage_model.**"
relative = 0
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ckptedit.drift.gates import Limit, Rules, require_one_of
from ckptedit.errors import BadParam

SECTIONS = ("keys", "ignore", "allow", "total", "limit", "slack")


def load_rules(path: str | Path) -> Rules:
    """Reads rules from TOML. Raises BadParam if the file is missing, malformed, or has a word
    that is not known: a misspelt limit must not pass for none."""
    try:
        with Path(path).open("rb") as file:
            table = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadParam(f"cannot read rules from {path}: {error}") from error
    try:
        return parse_rules(table)
    except BadParam as error:
        error.add_note(f"in {path}")
        raise


def parse_rules(table: Mapping[str, Any]) -> Rules:
    """Makes rules of the tables of a TOML file."""
    for section in table:
        require_one_of(section, SECTIONS, "section of rules")
    if table.get("allow") == []:
        raise BadParam("allow is an empty list: name what may change, or leave it out")
    total = _typed(table, "total", dict, {})
    limits = [limit for entry in _typed(table, "limit", list, []) for limit in _limits(entry)]
    return Rules(
        total={measure: _number(total, measure) for measure in total},
        limits=limits,
        allow=_strings(table, "allow"),
        ignore=_strings(table, "ignore"),
        keys=_strings(table, "keys"),
        slack=_number(table, "slack") if "slack" in table else Rules.slack,
    )


def parse_limit(text: str) -> Limit:
    """`GLOB=VALUE`, or `GLOB:MEASURE=VALUE`, as --limit takes it: "cond_stage_model.**=0"."""
    left, equals, value = text.rpartition("=")
    keys, colon, measure = left.rpartition(":")
    if not colon or keys == "re":
        keys, measure = left, "relative"
    if not equals or not keys:
        raise BadParam(f"the limit {text!r} must read GLOB=VALUE, as in 'cond_stage_model.**=0'")
    return Limit(keys, _number({text: value}, text, parse=True), measure)


def load_baseline(path: str | Path) -> dict[str, Any]:
    """Reads a report that `diff --json` wrote. Raises BadParam if it is not one."""
    try:
        report = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise BadParam(f"cannot read the baseline {path}: {error}") from error
    try:
        norms = [report["total"]["l2"], *(tensor["l2"] for tensor in report["tensors"])]
        names = [tensor["name"] for tensor in report["tensors"]]
        names += [*report["added"], *report["removed"], *report["retyped"]]
        names += [tensor["name"] for tensor in report["reshaped"]]
    except (KeyError, TypeError) as error:
        raise BadParam(f"{path} is not a report of `ckptedit diff --json`") from error
    if not all(isinstance(x, int | float | None) for x in norms) or any(
        not isinstance(name, str) for name in names
    ):
        raise BadParam(f"{path} is not a report of `ckptedit diff --json`")
    return dict(report)


def _limits(entry: Any) -> list[Limit]:
    if not isinstance(entry, dict) or not isinstance(entry.get("keys"), str) or len(entry) < 2:
        raise BadParam("each [[limit]] needs keys, a pattern, and a measure with its limit")
    keys = entry["keys"]
    return [Limit(keys, _number(entry, measure), measure) for measure in entry if measure != "keys"]


def _typed(table: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind):
        raise BadParam(f"{key} is {value!r}; it must be a TOML {kind.__name__}")
    return value


def _strings(table: Mapping[str, Any], key: str) -> list[str]:
    values = _typed(table, key, list, [])
    if not all(isinstance(value, str) for value in values):
        raise BadParam(f"{key} is {values!r}; it must be a list of strings")
    return list(values)


def _number(table: Mapping[str, Any], key: str, parse: bool = False) -> float:
    value = table[key]
    try:
        if isinstance(value, bool) or (isinstance(value, str) and not parse):
            raise ValueError
        return float(value)
    except (TypeError, ValueError):
        raise BadParam(f"the limit on {key} is {value!r}, not a number") from None
