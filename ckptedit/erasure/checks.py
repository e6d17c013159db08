"""What is wrong with an erasure at a glance: from the words and the header, before torch."""

from collections.abc import Iterable

from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.concepts.wish import Wish, settle
from ckptedit.erasure import closed_forms, objectives
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.families import Family, detect
from ckptedit.families.own import prediction_of
from ckptedit.families.runnable import require_runnable
from ckptedit.files import Checkpoint
from ckptedit.subspaces.basis import require_basis

# options that a closed form has no use for
TRAINING = ("init", "tokens", "steps", "lr", "clip", "batch", "pictures", "moments")


def usual_method(asked: Iterable[str]) -> str:
    """What erases where no method is named: what is trained, if an option or a guard asks for it.

    asked: names of those options that were given
    """
    training = {"guards", *TRAINING}.intersection(asked)
    return objectives.DEFAULT if training else closed_forms.DEFAULT


def look_over(
    checkpoint: Checkpoint,
    wish: Wish,
    *,
    method: str,
    prediction: str = "auto",
    basis: Checkpoint | None = None,
) -> Family:
    """Refuses what `erase` could not do; returns the checkpoint's family.

    basis:  the file of a subspace, which must be of what the family reads
    method: what is trained needs a UNet that runs on a prompt alone; a closed form needs its text
    """
    trained = OBJECTIVES.spelled(method)[0] in OBJECTIVES
    family = require_runnable(checkpoint) if trained else detect(checkpoint)
    if trained:
        prediction_of(checkpoint, family, prediction)
    if basis is not None:
        require_basis(basis, family)
    settle(wish, lexicon_of(family, wish.lexicon), checkpoint.ledger)
    return family
