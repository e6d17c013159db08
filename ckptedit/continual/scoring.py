"""What of a list is scored, and how: its table [eval], for `continual` and `plan` alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from ckptedit.concepts.lists import one_or_more
from ckptedit.concepts.names import distinct, normal
from ckptedit.concepts.targets import erased, without_aliases
from ckptedit.errors import BadParam, CkptError
from ckptedit.evaluation.evaluate import given_by, prepare
from ckptedit.evaluation.suite import SET
from ckptedit.evaluation.world import world_for
from ckptedit.files import Checkpoint

Keywords = Mapping[str, Any]  # of `evaluate`


def scored(keywords: Keywords, base: Checkpoint, concepts: Sequence[str]) -> dict[str, Any]:
    """The keywords of `evaluate` for a checkpoint from which concepts were erased.

    keywords: of [eval]; `erased` there says of which concepts alone UA is measured
    concepts: that are asked for, without aliases, which no judge knows; what the base had erased
              before comes to them
    """
    if "prompts" in keywords:
        return dict(keywords)
    gone = distinct((*without_aliases(erased(base.ledger)), *concepts))
    if "erased" in keywords:
        only = world_for(base, keywords.get("suite")).named(one_or_more(keywords["erased"]))
        gone = [name for name in gone if normal(name) in set(map(normal, only))]
    return {**keywords, "erased": gone}


def require_scorable(
    keywords: Keywords, base: Checkpoint, concepts: Sequence[str], where: str, otherwise: str
) -> None:
    """Raises BadParam if an evaluation could not begin: no suite, or a concept no judge knows.

    concepts: that are asked for at the end of the list, without aliases
    where: the list as messages name it; otherwise: what to do without an evaluation
    """
    try:
        _require_asked_for(keywords, base, concepts)
        given = scored(keywords, base, concepts)
        shown = given_by(
            one_or_more(given.pop("classifier", ())),
            given.pop("clip", None),
            given.pop("detector", None),
        )
        prepare(base, device="cpu", given=shown, **given)
    except CkptError as error:
        raise BadParam(
            f"{where}: the evaluation: {error}; say in [eval] what is scored (erased, suite, "
            f"judge), or {otherwise}"
        ) from error


def _require_asked_for(keywords: Keywords, base: Checkpoint, concepts: Sequence[str]) -> None:
    if "erased" not in keywords or "prompts" in keywords:
        return
    names = [name for name in one_or_more(keywords["erased"]) if not name.startswith(SET)]
    known = {normal(target.concept) for target in erased(base.ledger)} | set(map(normal, concepts))
    for name in names:
        if normal(name) not in known:
            raise BadParam(f"erased names {name!r}, which nothing asks to erase")
    if not scored(keywords, base, concepts)["erased"]:
        raise BadParam("erased names nothing that is asked for; leave it out")
