"""The commands that made what a page shows, to be pasted into a shell."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ckptedit.reports.story import Story

BARE = re.compile(r"[A-Za-z0-9_-]+")  # keys of TOML that need no quotes
LIST = "requests.toml"
ELSEWHERE = {  # what read the prompts, of which run.json has the digest alone
    "folder": ("--text-encoder", "DIR"),
    "embeddings": ("--embeddings", "FILE"),
}


def repeat(story: Story, prompts: Sequence[str], *, seeds: int, steps: int) -> list[str]:
    """Commands in order, of a run those that make the whole of it.

    prompts: that were drawn; none: no pictures were
    """
    base, result = plain(story.base_name), plain(_result(story))
    found = []
    if story.settings:
        if listed := requests_toml(story.settings):
            found.append(f"cat > {LIST} <<'END'\n{listed}END")
        found.append(shlex.join(["ckptedit", "continual", base, LIST, *_options(story)]))
    if not story.result:
        return found
    found.append(shlex.join(["ckptedit", "diff", base, result]))
    if not story.settings:
        found.append(shlex.join(["ckptedit", "verify", result, "--parent", base]))
    if prompts:
        drawn = ["--against", result, "--seeds", str(seeds), "--steps", str(steps)]
        lines = [shlex.join(["ckptedit", "sample", *drawn, "--", base]), *map(shlex.quote, prompts)]
        found.append(" \\\n    ".join(lines))
    return found


def plain(name: str) -> str:
    """A name that no command takes for an option."""
    return f"./{name}" if name.startswith("-") else name


def _result(story: Story) -> str:
    newest = story.newest
    return f"{story.name}/{newest.output}" if newest else story.name


def _options(story: Story) -> list[str]:
    """Of `continual`, but for those that the list has."""
    settings = story.settings
    found = ["-o", plain(story.name)]
    for option in ("strategy", "method", "keep", "max_drift", "on_drift", "clip_skip"):
        if (value := settings.get(option)) is not None:
            found += [f"--{option.replace('_', '-')}", str(value)]
    if isinstance(merge := settings.get("merge"), dict):
        found += ["--merge", str(merge.get("method")), "--scale", str(merge.get("scale"))]
        params = merge.get("params")
        for name, value in params.items() if isinstance(params, dict) else ():
            found.append(f"--merge-param={name}={value if isinstance(value, str) else toml(value)}")
    if isinstance(encoder := settings.get("text_encoder"), dict):
        found += [word for source in encoder for word in ELSEWHERE.get(source, ())]
    scored = [line.number for line in story.lines if line.scores]
    if scored and len(scored) == len(story.lines):
        found.append("--eval")
    elif scored:
        found += ["--eval-at", ",".join(map(str, scored))]
    return found


def requests_toml(settings: Mapping[str, Any]) -> str:
    """The list of a run, as `continual` reads it; "" if its run.json does not hold it."""
    asked = settings.get("asked")
    if not isinstance(asked, list) or not all(isinstance(entry, dict) for entry in asked):
        return ""
    tables = []
    for head, table in (
        ("[defaults]", settings.get("options")),
        *(("[[request]]", entry) for entry in asked),
        ("[eval]", settings.get("evaluation")),
    ):
        if isinstance(table, dict) and table:
            rows = [f"{_key(key)} = {toml(value)}\n" for key, value in table.items()]
            tables.append(f"{head}\n{''.join(rows)}")
    return "\n".join(tables)


def toml(value: Any) -> str:
    """A value of JSON, not null, as TOML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else toml(key)
