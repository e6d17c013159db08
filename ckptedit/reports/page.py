"""The page itself: one HTML file with its style, its script and its pictures in it.

Every text goes through Jinja's escaping. The Content-Security-Policy forbids whatever would be
fetched, and every script but the page's own, which it knows by its digest.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ckptedit import __version__
from ckptedit.files import escape
from ckptedit.files.ledger import date_of_build
from ckptedit.reports import tables
from ckptedit.reports.charts import curves, heat_map
from ckptedit.reports.commands import repeat
from ckptedit.reports.heat import Heat
from ckptedit.reports.lines import FIGURES, Figure
from ckptedit.reports.pictures import Strip
from ckptedit.reports.rows import ASKED, NEAR, TARGET, UNRELATED, WITHDRAWN
from ckptedit.reports.story import Story
from ckptedit.reports.veil import Veil
from ckptedit.reports.verdict import LIMITS, headline, sentences

TEMPLATES = Path(__file__).parent / "templates"
BLUR = ("targets", "all", "none")
TITLES = {
    TARGET: "Erased",
    WITHDRAWN: "Withdrawn, so drawn as before",
    NEAR: "Near what was erased, and to stay",
    UNRELATED: "Of another kind, and to stay",
    ASKED: "As asked for",
}
SHARES = ("ua", "ra_i_shown", "ra_i_unseen", "ra_c")  # the curves of the first chart
NO_BASE = "The checkpoint before the edits was not at hand (--against), so nothing was compared."
NO_PICTURES = "No pictures were drawn (--no-pictures)."
GONE = "The newest checkpoint is gone: this page is of the run's records, not of its weights."
NO_RESULT = "No request was met, so there is nothing to compare."


@dataclass(frozen=True)
class Content:
    """All that a page shows.

    strips: none where no pictures were asked for, or could be drawn; heat: None without the base
    seeds, steps: by which they were drawn
    """

    story: Story
    veil: Veil
    strips: Sequence[Strip]
    heat: Heat | None
    notes: Sequence[str]
    blur: str
    seeds: int
    steps: int


def page(content: Content) -> str:
    """The HTML of it; the same content gives the same bytes."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(**_head(content), **_body(content))


def _head(content: Content) -> dict[str, Any]:
    style, script = ((TEMPLATES / f"page.{kind}").read_text() for kind in ("css", "js"))
    story, veil = content.story, content.veil
    return {
        "version": __version__,
        "date": date_of_build(),
        "style": Markup(style),
        "script": Markup(script),
        "style_digest": _digest(style),
        "script_digest": _digest(script),
        "headline": headline(story, veil),
        "sentences": list(sentences(story, veil)),
        "tiles": tables.tiles(story, content.heat),
        "base_name": story.base_name,
        "result_name": _result(story),
    }


def _body(content: Content) -> dict[str, Any]:
    story, veil, heat = content.story, content.veil, content.heat
    charts, figures = _charts(story)
    before, now = tables.seen(story)
    prompts = dict.fromkeys(strip.row.prompt for strip in content.strips)
    commands = repeat(story, list(prompts), seeds=content.seeds, steps=content.steps)
    ledger = tables.ledger(story)
    return {
        "groups": _groups(content),
        "no_pictures": NO_PICTURES if story.newest or story.result else NO_RESULT,
        "blur": content.blur,
        "charts": charts,
        "figures": figures,
        "heat": heat,
        "map": heat_map(heat) if heat else None,
        "heat_rows": tables.heat_rows(heat) if heat else [],
        "heat_missing": any(line.output for line in story.lines if line.number not in story.files),
        "no_heat": NO_BASE if story.files else GONE if story.gone else NO_RESULT,
        "runs": bool(story.lines),
        "requests": tables.requests(story, veil),
        "verified": tables.verified(story, veil),
        "retained": tables.retained(story, veil),
        "seen": bool(before or now),
        "ledger": ledger,
        "no_ledger": "It has no ledger." if story.result else "There is no checkpoint to ask.",
        "hidden": veil.hidden,
        "digests": _digests(story),
        "commands": "" if veil.hidden else "\n".join(commands),
        "repeating": _repeating(story),
        "limits": [*LIMITS, *([GONE] if story.gone else [])],
        "notes": content.notes,
    }


def _digest(text: str) -> Markup:
    return Markup("sha256-" + b64encode(sha256(text.encode()).digest()).decode())


def _result(story: Story) -> str:
    newest = story.newest
    return f"{story.name}/{newest.output}" if newest else story.name


def _groups(content: Content) -> list[dict[str, Any]]:
    found = []
    for kind, title in TITLES.items():
        cards = [_card(strip, content.veil) for strip in content.strips if strip.row.group == kind]
        if cards:
            found.append({"kind": kind, "title": title, "cards": cards})
    return found


def _card(strip: Strip, veil: Veil) -> dict[str, Any]:
    """A row of pictures; its prompt names its concept, and is not told where that is hidden."""
    row = strip.row
    name = veil(row.concept) if row.concept else escape(row.prompt)
    prompt = "" if veil.hidden or not row.concept else escape(row.prompt)
    size = {"width": strip.width, "height": strip.height}
    return {"name": name, "prompt": prompt, "alt": prompt or name, "pairs": strip.pairs, **size}


def _charts(story: Story) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(the curves of a run of two requests or more, all of them as a table)"""
    met = [line for line in story.lines if line.output or line.number == 0]
    last = max((line.number for line in met), default=0)
    if last < 2:
        return [], {}
    shares: dict[str, dict[int, Figure]] = {
        FIGURES[name]: {line.number: line.scores[name] for line in met if name in line.scores}
        for name in SHARES
    }
    shares = {name: row for name, row in shares.items() if row}
    others: dict[str, dict[int, Figure]] = {
        "drift": {line.number: Figure(line.drift) for line in met if line.drift is not None},
        "worst residual": {
            line.number: Figure(max(row.residual for row in line.verified))
            for line in met
            if line.verified
        },
    }
    others = {name: row for name, row in others.items() if row}
    charts = []
    if shares:
        caption = "Bars are 95 % intervals." if _has_intervals(shares) else ""
        charts.append(_chart("What is gone, and what is left", shares, last, 1.0, caption))
    caption = "Drift is of the weights that the run may edit, from the first checkpoint."
    charts.append(_chart("Drift, and what is left of the targets", others, last, None, caption))
    return charts, tables.figures({**shares, **others}, list(shares))


def _chart(
    title: str, values: Mapping[str, Mapping[int, Figure]], last: int, top: float | None,
    caption: str,
) -> dict[str, Any]:  # fmt: skip
    return {"title": title, "curves": curves(values, last, top=top), "caption": caption}


def _has_intervals(values: Mapping[str, Mapping[int, Figure]]) -> bool:
    return any(figure.interval for row in values.values() for figure in row.values())


def _digests(story: Story) -> list[dict[str, str]]:
    rows = [("before", story.base_name, story.base_sha256)]
    if story.result:
        rows.append(("after", _result(story), story.result.data_sha256()))
    elif story.newest:
        rows.append(("after", _result(story), story.newest.sha256))
    found = [{"what": w, "name": escape(n), "digest": str(d or "")} for w, n, d in rows]
    made = story.settings.get("version")
    tool = f"run by {escape(made)}, page by {__version__}" if made else f"page by {__version__}"
    return [*found, {"what": "ckptedit", "name": tool, "digest": ""}]


def _repeating(story: Story) -> str:
    said = "Digests are sha256 of the tensor data: ckptedit info FILE --json prints them."
    if story.settings and not isinstance(story.settings.get("asked"), list):
        return f"The folder does not hold its list of requests. {said}"
    if not story.settings:
        return f"The options of each edit are in the ledger above. {said}"
    return said
