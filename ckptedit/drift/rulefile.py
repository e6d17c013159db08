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

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ckptedit.drift.gates import Limit, Rules, require_one_of
from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.files import escape
from ckptedit.files.bounded import parse_json, read_bytes, read_text

RULES_BYTES = 1 << 18  # a limit on each of 3,000 tensors
DOTS = 1000  # in a line of rules: a key of so many parts takes time by their square
BASELINE_BYTES, BASELINE_ITEMS = 1 << 27, 4_000_000  # a report on 200,000 tensors that changed
SECTIONS = ("keys", "ignore", "allow", "total", "limit", "slack")


def load_rules(path: str | Path) -> Rules:
    """Reads rules from TOML, a file or a pipe. Raises BadParam if it is missing, malformed, longer
    than 256 KiB, or has a word that is not known: a misspelt limit must not pass for none."""
    import tomllib

    try:
        text = read_text(path, RULES_BYTES, pipe=True)
        if any(line.count(".") > DOTS for line in text.splitlines()):
            raise BadCheckpoint(f"{escape(path)}: a line has more than {DOTS} dots; break it up")
        table = tomllib.loads(text)
    except BadCheckpoint as error:
        raise BadParam(f"cannot read rules from {error}") from error
    except RecursionError as error:
        raise BadParam(f"cannot read rules from {escape(path)}: nested too deeply") from error
    except ValueError as error:  # TOML's own, and that of an integer of thousands of digits
        raise BadParam(f"cannot read rules from {escape(path)}: {escape(error)}") from error
    try:
        return parse_rules(table)
    except BadParam as error:
        error.add_note(f"in {escape(path)}")
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
        raise BadParam(
            f"the limit {_shown(text)} must read GLOB=VALUE, as in 'cond_stage_model.**=0'"
        )
    return Limit(keys, _number({text: value}, text, parse=True), measure)


def load_baseline(path: str | Path) -> dict[str, Any]:
    """Reads a report that `diff --json` wrote. Raises BadParam if it is not one."""
    try:
        text = read_bytes(path, BASELINE_BYTES, pipe=True)
        report = parse_json(text, escape(path), items=BASELINE_ITEMS)
    except BadCheckpoint as error:
        raise BadParam(f"cannot read the baseline {error}") from error
    require_report(report, escape(path))
    return report


def require_report(report: Mapping[str, Any], what: str) -> None:
    """Raises BadParam if this is not what `diff --json` prints, as far as gates look at it."""
    try:
        norms = [report["total"]["l2"], *(tensor["l2"] for tensor in report["tensors"])]
        names = [tensor["name"] for tensor in report["tensors"]]
        names += [*report["added"], *report["removed"], *report["retyped"]]
        names += [tensor["name"] for tensor in report["reshaped"]]
    except (KeyError, TypeError, IndexError) as error:
        raise BadParam(f"{what} is not a report of `ckptedit diff --json`") from error
    if not all(isinstance(x, int | float | None) for x in norms) or any(
        not isinstance(name, str) for name in names
    ):
        raise BadParam(f"{what} is not a report of `ckptedit diff --json`")


def _limits(entry: Any) -> list[Limit]:
    if not isinstance(entry, dict) or not isinstance(entry.get("keys"), str) or len(entry) < 2:
        raise BadParam("each [[limit]] needs keys, a pattern, and a measure with its limit")
    keys = entry["keys"]
    return [Limit(keys, _number(entry, measure), measure) for measure in entry if measure != "keys"]


def _typed(table: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind):
        raise BadParam(f"{key} is {_shown(value)}; it must be a TOML {kind.__name__}")
    return value


def _strings(table: Mapping[str, Any], key: str) -> list[str]:
    values = _typed(table, key, list, [])
    if not all(isinstance(value, str) for value in values):
        raise BadParam(f"{key} is {_shown(values)}; it must be a list of strings")
    return list(values)


def _number(table: Mapping[str, Any], key: str, parse: bool = False) -> float:
    value = table[key]
    try:
        if isinstance(value, bool) or (isinstance(value, str) and not parse):
            raise ValueError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise BadParam(f"the limit on {escape(key)} is {_shown(value)}, not a number") from None


def _shown(value: Any) -> str:
    """A value as Python writes it, cut; hexadecimal integers may be too long to be written."""
    try:
        return escape(repr(value))
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} too large to be shown"
