"""From a run's folder, or an edited checkpoint, to a page; `ckptedit report`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ckptedit.concepts.lists import one_or_more
from ckptedit.concepts.names import distinct
from ckptedit.diffusion import open_model
from ckptedit.errors import BadParam, CkptError
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.files import Checkpoint, check_output, escape
from ckptedit.files.sinks import new_files
from ckptedit.progress import Track, silent
from ckptedit.reports.heat import heat_of
from ckptedit.reports.page import BLUR, Content, page
from ckptedit.reports.pictures import Strip, require_few, strips
from ckptedit.reports.rows import rows_of
from ckptedit.reports.story import Story, read_story
from ckptedit.reports.veil import Veil


@dataclass(frozen=True)
class Report:
    """A page that was made.

    output:   where it is; None if it was not written
    pictures: how many it shows
    notes:    what it could not show, and why
    """

    output: Path | None
    html: str
    pictures: int
    notes: tuple[str, ...]


def report(
    edited: str | Path | Checkpoint | Story,
    output: str | Path | None = None,
    *,
    against: str | Path | Checkpoint | None = None,
    prompts: str | Sequence[str] = (),
    concepts: str | Sequence[str] = (),
    seeds: int = 2,
    steps: int = 20,
    pictures: bool = True,
    blur: str = "targets",
    device: str = "auto",
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    force: bool = False,
    track: Track = silent,
) -> Report:
    """Makes one self-contained HTML page of a run or an edit.

    edited:   the folder of a run (`unlearn`), or an edited checkpoint; or what was read of either
    output:   where to write it; None: nowhere
    against:  the checkpoint before the edits; of a run by default the file of that name and digest
              in the working folder, or beside the run's folder
    prompts:  to be drawn besides; concepts: the same of names. Of an edit whose ledger hides names,
              these are what is drawn of its targets; the page does not tell them
    seeds:    noises that each prompt is drawn from, 1 or more; steps: of the solver
    pictures: whether to draw; without, nothing needs a UNet
    blur:     what is blurred until the reader switches: "targets", "all", "none"
    device, tokenizer, clip_skip: as in `open_model`
    force:    an output that exists may be replaced
    Raises CkptError for whatever the user can mend, before anything is drawn if it can be known.
    """
    if blur not in BLUR:
        raise BadParam(f"blur must be one of {', '.join(BLUR)}, not {blur!r}")
    if seeds < 1 or steps < 1:
        raise BadParam(f"seeds and steps must be 1 or more, not {seeds} and {steps}")
    story = edited if isinstance(edited, Story) else read_story(edited, against)
    if output is not None:
        inputs = [*story.files.values(), *([story.base] if story.base else [])]
        check_output(output, inputs, force=force, report=True)
    notes: list[str] = []
    drawn: list[Strip] = []
    if story.gone and pictures:
        raise BadParam(
            f"{story.name}/{escape(story.gone)}, the run's newest checkpoint, is gone: put it "
            f"back, or leave the pictures out with --no-pictures"
        )
    if pictures and story.result:
        how = {"device": device, "tokenizer": tokenizer, "clip_skip": clip_skip}
        asked = list(one_or_more(prompts)), list(one_or_more(concepts))
        drawn, notes = _drawn(story, *asked, how, seeds=seeds, steps=steps, track=track)
    elif prompts or concepts:
        raise BadParam("there is nothing to draw these prompts with; leave them out")
    heat = None
    if story.gone:
        notes.append(
            f"{story.name}/{escape(story.gone)}, the newest checkpoint, is gone: what is told of "
            f"it is from the run's records, and its weights were not looked at"
        )
    if story.base and story.files:
        heat = heat_of(story.base, story.files, track=track)
    elif story.files:
        notes.append(f"{story.base_name} is not at hand: where the weights moved is not shown")
    rows = [strip.row.concept for strip in drawn if strip.row.concept]
    veil = Veil(story.hidden, distinct([*_all_names(story), *rows]))
    html = page(Content(story, veil, drawn, heat, notes, blur, seeds, steps))
    count = sum(2 * len(strip.pairs) for strip in drawn)
    written = None if output is None else _write(html, output, force=force)
    return Report(written, html, count, tuple(notes))


def _drawn(
    story: Story, prompts: list[str], concepts: list[str], how: Mapping[str, Any], *, seeds: int,
    steps: int, track: Track,
) -> tuple[list[Strip], list[str]]:  # fmt: skip
    """(the pictures, what the reader should know of them)"""
    if story.base is None or story.result is None:
        raise BadParam(
            f"{story.base_name}, which this run began from, is not here: name it with --against, "
            f"or leave the pictures out with --no-pictures"
        )
    try:
        base, edited = (open_model(each, **how) for each in (story.base, story.result))
        rows, notes = rows_of(story, base, prompts, concepts)
    except CkptError as error:
        raise type(error)(f"{error}; or leave the pictures out with --no-pictures") from error
    require_few(rows, seeds)
    if not rows:
        return [], notes
    return strips(base, edited, rows, seeds=seeds, steps=steps, track=track), notes


def _all_names(story: Story) -> list[str]:
    """Every target that the story tells of, asked for, withdrawn or verified."""
    found = list(story.erased)
    for line in story.lines:
        found += [*line.asked, *line.withdrawn, *line.erased]
        found += [row.concept for row in line.verified]
    return found


def _write(html: str, output: str | Path, *, force: bool) -> Path:
    import sys

    content = html.encode()
    if str(output) == "-":
        sys.stdout.buffer.write(content)
        return Path("-")
    with new_files([(Path(output), len(content))], replace=force) as (file,):
        file.write(memoryview(content))
    return Path(output)
