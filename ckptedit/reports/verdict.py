"""What a page says first, in sentences, and what it cannot say."""

from collections.abc import Iterator

from ckptedit.continual.verify import REBOUND
from ckptedit.reports.lines import Met
from ckptedit.reports.story import Story
from ckptedit.reports.veil import Veil

NAMED = 5  # concepts that a sentence names; more are counted

LIMITS = (  # as README.md says them; a test holds them together
    "Suppression under the tested prompts is not proof of deletion. Weights that were fine-tuned "
    "can be fine-tuned back, and published attacks recover concepts from every known weight edit, "
    "adversarially trained ones included.",
    "The weights before the edit still exist wherever they were published.",
    "A closed form changes W to W (I + D), and I + D can be inverted: whoever has both files can "
    "undo the edit.",
)


def headline(story: Story, veil: Veil) -> str:
    """What was done, in a sentence."""
    if story.erased:
        is_are = "is" if len(story.erased) == 1 else "are"
        return f"{_named(story.erased, veil)} {is_are} erased from {story.base_name}."
    if story.lines:
        return f"Nothing is erased from {story.base_name}."
    return f"{story.name} beside {story.base_name}: no ledger says what was erased."


def sentences(story: Story, veil: Veil) -> Iterator[str]:
    """What came of it."""
    if story.stopped:
        limit = story.settings.get("max_drift")
        yield (
            f"A drift budget of {limit} stopped the run at request {story.stopped.number} "
            f"({veil.all(story.stopped.asked)}): what it asks for is not done."
        )
    if story.withdrawn:
        yield f"Taken back: {_named(story.withdrawn, veil)}."
    if not story.lines:
        yield "What it does to pictures was not scored: this is one edit, not a scored run."
        return
    yield _scored(story)
    newest = story.newest
    if newest and newest.verified:
        back = came_back(newest)
        named = _named(tuple(back), veil)
        nothing = "No target came back since its request."
        yield f"Came back since erased: {named}." if back else nothing


def _scored(story: Story) -> str:
    newest = story.newest
    scores = newest.scores if newest else {}
    if not scores:
        return "Pictures were not scored after the last request (continual --eval does it)."
    parts = []
    if "ua" in scores:
        gone = f"{scores['ua'].value:.1%} of the pictures asked for by an erased name"
        parts.append(f"{gone} do not show it (UA)")
    before = story.lines[0].scores if story.lines[0].number == 0 else {}
    for name, what in (("ra_i", "same kind (RA-I)"), ("ra_c", "other kind (RA-C)")):
        if name in scores:
            was = f", before in {before[name].value:.1%}" if name in before else ""
            seen = f"are seen in {scores[name].value:.1%} of their pictures{was}"
            parts.append(f"retained concepts of the {what} {seen}")
    return "; ".join(parts) + "."


def came_back(line: Met) -> list[str]:
    """The targets whose residual grew too far since their own request."""
    return [row.concept for row in line.verified if row.rebound > REBOUND]


def is_bad(story: Story) -> bool:
    """Whether the reader should be worried by more than the limits of all such edits."""
    return story.stopped is not None or bool(story.newest and came_back(story.newest))


def _named(names: tuple[str, ...], veil: Veil) -> str:
    if len(names) > NAMED:
        return f"{len(names)} concepts"
    told = list(map(veil, names))
    return " and ".join(filter(None, [", ".join(told[:-1]), told[-1]])) if told else "nothing"
