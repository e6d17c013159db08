"""`ckptedit audit`: is it really gone?"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from ckptedit.audits import PROBES, QUICK
from ckptedit.cli.options import (
    Alias,
    AllowDownload,
    Ckpt,
    ClipSkip,
    Device,
    Embeddings,
    EncoderFolder,
    Json,
    ListPrompts,
    Param,
    Quiet,
    Seed,
    Strings,
    Tokenizer,
    one_of,
)
from ckptedit.cli.output import as_json, print_and_end, print_tables
from ckptedit.cli.progress import LOADING, progress
from ckptedit.cli.words import as_fact, require_alone, require_own_words, words_of
from ckptedit.errors import BadParam, LimitExceeded
from ckptedit.params import assignments

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ckptedit.audits.audit import Audit
    from ckptedit.audits.probe import Row

SHOWN = 8  # rows of a probe, and the most letters of what a column holds; --json has all
WIDEST = 24


def _limit(text: str) -> Any:
    return Option(metavar="X", help=f"Exit with 1 if {text}; default: no limit.")


Limit = float | None


def audit(
    ckpt: Ckpt,
    concept: Annotated[
        str | None,
        Option(metavar="NAME", help="What should be gone; default: the one of its ledger."),
    ] = None,
    original: Annotated[
        str | None,
        Option(
            metavar="PATH", help="The checkpoint before the edit, which all needs; default: none."
        ),
    ] = None,
    probe: Annotated[
        Strings,
        Option(
            metavar="NAME",
            help=f"One of {', '.join(PROBES)}; repeatable; default: {', '.join(QUICK)}.",
            autocompletion=one_of(*PROBES),
        ),
    ] = None,
    deep: Annotated[bool, Option("--deep", help="All probes it can answer; minutes.")] = False,
    alias: Alias = None,
    kind: Annotated[
        str,
        Option(
            help="auto, style, object; auto: as the ledger says.",
            autocompletion=one_of("auto", "style", "object"),
        ),
    ] = "auto",
    anchor: Annotated[
        str | None,
        Option(metavar="NAME", help="What is drawn instead; default: as the ledger says."),
    ] = None,
    max_residual: Annotated[Limit, _limit("a residual is larger")] = None,
    max_left: Annotated[Limit, _limit("a way of asking says more of it, 0..1")] = None,
    max_collateral: Annotated[Limit, _limit("another word moved farther")] = None,
    min_distance: Annotated[Limit, _limit("what restores it is nearer to a word")] = None,
    max_restored: Annotated[Limit, _limit("embeddings restore more of it, 0..1")] = None,
    max_gap: Annotated[Limit, _limit("its name tells the model more of it, 0..1")] = None,
    max_attack: Annotated[Limit, _limit("a prefix shows it in more pictures, 0..1")] = None,
    max_return: Annotated[Limit, _limit("more of its pictures come back from noise, 0..1")] = None,
    max_relearned: Annotated[Limit, _limit("training shows it in more pictures, 0..1")] = None,
    param: Param = None,
    seed: Seed = None,
    device: Device = "auto",
    tokenizer: Tokenizer = None,
    clip_skip: ClipSkip = None,
    allow_download: AllowDownload = False,
    text_encoder: EncoderFolder = None,
    embeddings: Embeddings = None,
    list_prompts: ListPrompts = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ask whether a concept is really gone, or only hard to see.

    In seconds, from text encoder and weights alone: what other wordings still say of it, what else
    was moved, and how near an embedding could bring it back. With --deep or --probe, in minutes,
    with the model.

    Example: ckptedit audit edited.safetensors --original base.safetensors --concept "Van Gogh"
    """
    from ckptedit.audits.pair import original_and_edited

    held = {
        "max_residual": max_residual, "max_left": max_left, "max_collateral": max_collateral,
        "min_distance": min_distance, "max_restored": max_restored, "max_gap": max_gap,
        "max_attack": max_attack, "max_return": max_return, "max_relearned": max_relearned,
    }  # fmt: skip
    limits = {name: value for name, value in held.items() if value is not None}
    params = of_probes(param or ())
    require_alone(list_prompts, json=json)
    require_own_words(
        text_encoder, embeddings, clip_skip=clip_skip, tokenizer=tokenizer,
        allow_download=allow_download,
    )  # fmt: skip
    with original_and_edited(original, ckpt) as (before, after), progress(quiet) as track:
        words = None
        if embeddings is None and text_encoder is None and not list_prompts:
            words = words_of(before, tokenizer, download=allow_download, quiet=quiet)
        track.begin(LOADING)
        from ckptedit.audits.audit import audit as run
        from ckptedit.audits.needed import prompts_needed
        from ckptedit.concepts.lists import listed

        how: dict[str, Any] = {
            "original": before, "probes": probe or (), "deep": deep, "aliases": listed(alias),
            "kind": kind, "anchor": anchor or "", "limits": limits, "params": params,
            "seed": seed or 0, "embeddings": embeddings,
        }  # fmt: skip
        if list_prompts:
            print_and_end(prompts_needed(after, concept, **how), track)
        found = run(
            after, concept, device=device, tokenizer=words, clip_skip=clip_skip,
            text_encoder=text_encoder, track=track, **how,
        )  # fmt: skip
    if json:
        typer.echo(as_json(found.as_dict() | {"tokenizer": as_fact(words)}))
    else:
        print_tables(tables(found))
    if failed := [line for kept, line in verdicts(found) if not kept]:
        raise LimitExceeded("; ".join(failed))


def of_probes(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """["residual.meant=0.3"] -> {"residual": {"meant": "0.3"}}. Raises BadParam for no such."""
    found: dict[str, dict[str, str]] = {}
    for name, value in assignments(texts).items():
        owner, dot, own = name.partition(".")
        if not dot or owner not in PROBES:
            raise BadParam(
                f"-p {name}: say whose, as PROBE.NAME=VALUE; probes are {', '.join(PROBES)}"
            )
        found.setdefault(owner, {})[own] = value
    return found


def tables(found: "Audit") -> "Iterator[RenderableType]":
    """What a person sees: the verdicts, by how much of the concept comes back; then each probe's
    own table, worst first; then the limits."""
    from rich.table import Table
    from rich.text import Text

    from ckptedit.files import escape

    yield Text(f"{escape(found.concept)} ({found.kind}), instead of it {escape(found.anchor)}")
    table = Table(box=None, pad_edge=False)
    for column in ("comes back", "by", "probe", ""):
        table.add_column(column, justify="right" if column == "comes back" else "left")
    ranked = sorted(found.findings.items(), key=lambda item: -(item[1].left or -1.0))
    for name, each in ranked:
        left = "–" if each.left is None else f"{each.left:.0%}"
        probe: Any = PROBES[name]
        table.add_row(left, probe.by or "–", name, escape(each.says))
    yield table
    for name, each in ranked:
        if each.rows:
            yield Text(f"\n{name}: {_counted(each.rows)}")
            yield _rows(each.rows[:SHOWN])
        if each.unread:
            yield Text(f"not asked, {len(each.unread)}: {'; '.join(map(escape, each.unread))}")
    for name, reason in found.left_out.items():
        yield Text(f"left out, {name}: {escape(reason)}")
    for kept, line in verdicts(found):
        yield Text(f"{'kept' if kept else 'FAILED'}: {line}")


def verdicts(found: "Audit") -> "Iterator[tuple[bool, str]]":
    """Of each limit whether it is kept, and what was measured."""
    for limit in found.limits:
        option = f"--{limit.name.replace('_', '-')} {limit.limit:g}"
        value = "not measured" if limit.value is None else f"{limit.value:.3g}"
        yield limit.kept, f"{option}, {limit.probe}'s {limit.figure} is {value}"


def _counted(rows: "Sequence[Row]") -> str:
    return "" if len(rows) <= SHOWN else f"the worst {SHOWN} of {len(rows)}, --json has all"


def _rows(rows: "Sequence[Row]") -> "RenderableType":
    from rich.table import Table

    from ckptedit.files import escape

    table = Table(box=None, pad_edge=False)
    columns = [name for name in rows[0] if all(len(_shown(row[name])) <= WIDEST for row in rows)]
    for name in columns:
        number = isinstance(rows[0][name], int | float) and not isinstance(rows[0][name], bool)
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(escape(_shown(row[name])) for name in columns))
    return table


def _shown(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    return f"{value:.2f}" if isinstance(value, float) else str(value)
