"""Unified concept editing with weights found, not given: each target is moved until a set share of
it is left, and no further, and each word around it is held until it hardly moves.

The least squares of UCE (Gandikota et al., WACV 2024, https://arxiv.org/abs/2308.14761, equation 7)
on pairs of sentences, over all positions from the concept's first token to the last padding:

    W' = W (I + D),  D = X A⁻¹,  X = Σ v_i E[(e' - e) eᵀ],
    A = Σ v_i E[e eᵀ] + Σ u_j E[e eᵀ] + R + λ (tr R / d) I

with e of a sentence that names target i, and e' beside it in the same sentence about its anchor; in
the second sum, e of sentences about a retained concept j, or about one of the words that D moves
most, which are found by solving once without it; and R the second moment of what else stays: the
vocabulary without the targets' tokens, the lexicon and the retained concepts in sentences. Ours, as
measured on mini (docs/erasing.md); it departs from UCE in

- the positions: UCE moves the last token of the bare name, which is not where a style is read;
- the weights v_i: there constants; here each is raised until the residual of its target,
  E ‖W (D e - (e' - e))‖² / E ‖W (e' - e)‖², is `tau`;
- the weights u_j, which UCE has not: each is raised from its share of `mined` until
  E ‖W D e‖² is `damage` of the targets' mean E ‖W (e' - e)‖², or until it is `hold`, of a
  retained concept ten times that;
- R, there the Gram matrix of names to preserve;
- what is solved: keys and values apart, since a style is in the values, an object in both.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor

from ckptedit.concepts.prompts import renamed
from ckptedit.concepts.request import Request
from ckptedit.concepts.targets import Target
from ckptedit.concepts.templates import OTHER
from ckptedit.deltas.change import Dense
from ckptedit.diffusion import Model
from ckptedit.erasure.closed_forms.solving import metric
from ckptedit.erasure.closed_forms.staying import Stays
from ckptedit.erasure.closed_forms.weighing import NEAR, Goal, Held, Weighed, weighed
from ckptedit.erasure.method import Method, Solution
from ckptedit.errors import BadParam
from ckptedit.families.kv import kv_role
from ckptedit.params import Within
from ckptedit.subspaces.paired import aligned
from ckptedit.subspaces.words import Words

FIRM = 10  # times as much as a mined word may weigh, of what the request retains
FRAMES = 2  # that a target comes in with each of its companions
# As measured on mini: a style is in the values alone. An object is drawn again above these, and
# takes its neighbours along far below them.
TAUS = {"v": {"style": 0.18, "object": 0.14}, "k": {"style": 1.0, "object": 0.25}}
NAMES = {"k": "keys", "v": "values"}


class Balanced(Method):
    """Leaves of each target as much as `tau` says, and its neighbours as they were."""

    asks = ("slots",)

    def __init__(
        self,
        *,
        tau_v: Annotated[
            float | None,
            Within("(0, 1]"),
            "share of a target left in the values; none: by its kind",
        ] = None,
        tau_k: Annotated[
            float | None,
            Within("(0, 1]"),
            "share left in the keys, 1: they stay as they are; none: by its kind",
        ] = None,
        positions: Annotated[
            Literal["all", "words", "end"],
            "tokens to move: all from the concept on, those before the end token, or from that on",
        ] = "all",
        ridge: Annotated[float, Within("(0, inf)"), "λ, of the mean energy of a direction"] = 0.03,
        vocabulary: Annotated[float, Within("[0, inf)"), "share of the vocabulary in R"] = 0.2,
        lexicon: Annotated[float, Within("[0, inf)"), "share of lexicon and retained in R"] = 0.4,
        mined: Annotated[
            float,
            Within("[0, inf)"),
            "least share of retained and of the words moved most; 0: none",
        ] = 0.4,
        words: Annotated[int, Within("[1, inf)"), "how many of these words"] = 64,
        damage: Annotated[
            float, Within("(0, inf)"), "what each of these may move, as a share of what targets do"
        ] = 0.12,
        hold: Annotated[
            float,
            Within("(0, inf)"),
            "largest weight of such a word, R being 1; of what is retained, ten times that",
        ] = 0.3,
        cap: Annotated[float, Within("(0, inf)"), "largest weight of a target, R being 1"] = 10.0,
    ) -> None:
        if not vocabulary + lexicon > 0:
            raise BadParam("vocabulary and lexicon are both 0: nothing would hold what stays")
        self.taus = {"v": tau_v, "k": tau_k}
        self.positions, self.ridge, self.cap = positions, ridge, cap
        self.shares = {"vocabulary": vocabulary, "lexicon": lexicon, "mined": mined}
        self.count, self.damage, self.hold = words, damage, hold

    def solve(
        self,
        request: Request,
        words: Words,
        weights: Mapping[str, Tensor],
        *,
        model: Model | None = None,
    ) -> Solution:
        parts = {role: by_role(weights, role) for role in "kv"}
        metrics = {role: metric(part) for role, part in parts.items() if part}
        asked = {role: self._asked(request, role) for role in metrics}
        if not any(asked.values()):
            named = " and ".join(NAMES[role] for role in metrics)
            raise BadParam(f"nothing of the targets is to leave the {named}: tau is 1 for them")
        goals = {target: self._goal(words, request, target) for target in request.targets}
        stays = Stays(words, request, self.shares, self.count)

        rest = stays.told()

        def solved(held: Held | None = None) -> dict[str, Weighed]:
            return {
                role: self._weighed(goals, taus, rest, metrics[role], held)
                for role, taus in asked.items()
                if taus
            }

        found = solved()
        if self.shares["mined"]:
            maps = {role: (each.map, metrics[role]) for role, each in found.items()}
            found = solved(self._held(stays, stays.most_moved(maps)))
        edits = {
            name: Dense((weight.double().cpu() @ each.map).float().numpy())
            for role, each in found.items()
            for name, weight in parts[role].items()
        }
        short = [each for role in found for each in unreached(role, asked[role], found[role])]
        return Solution(edits, warnings=tuple(short))

    def _asked(self, request: Request, role: str) -> dict[Target, float]:
        """The residual of each target that these weights are to move."""
        targets = sorted(request.targets, key=lambda target: target.concept)  # in any order alike
        asked = {target: self.taus[role] or TAUS[role][target.kind] for target in targets}
        return {target: tau for target, tau in asked.items() if tau < 1}

    def _goal(self, words: Words, request: Request, target: Target) -> Goal:
        company = request.companions[OTHER[target.kind]]
        pairs = [
            pair
            for pair in renamed(target, company, frames=FRAMES)
            if words.encoder.fits(pair.prompt) and words.encoder.fits(pair.anchor)
        ]
        name, where = target.concept, self.positions

        def read() -> Goal:
            return Goal.of(*aligned(words.encoder, name, pairs, positions=where))

        return words.encoder.once((Goal, name, where), read, given=pairs)

    def _held(self, stays: Stays, mined: Sequence[str]) -> Held:
        moments, retained = stays.held(mined)
        least = stays.share("mined") / max(1, len(moments))
        most = torch.full((len(moments),), self.hold, dtype=torch.float64)
        most[:retained] *= FIRM
        return Held(moments, allowed=self.damage, least=least, most=most.clamp(min=least))

    def _weighed(
        self,
        goals: Mapping[Target, Goal],
        taus: Mapping[Target, float],
        rest: Tensor,
        gain: Tensor,
        held: Held | None,
    ) -> Weighed:
        dim = len(rest)
        energy = rest.trace() + (held.moment(held.start).trace() if held else 0)
        ridge = self.ridge * energy / dim * torch.eye(dim, dtype=torch.float64)
        return weighed(
            [goals[target] for target in taus],
            rest + ridge,
            gain,
            residual=torch.tensor(list(taus.values()), dtype=torch.float64),
            cap=self.cap,
            held=held,
        )


def by_role(weights: Mapping[str, Tensor], role: str) -> dict[str, Tensor]:
    """The keys' weights or the values'. role: "k" or "v" """
    return {name: weights[name] for name in weights if kv_role(name) == role}


def unreached(role: str, asked: Mapping[Target, float], found: Weighed) -> list[str]:
    """What the user must know: targets of which more is left than was asked for."""
    left = zip(asked.items(), found.residuals.tolist(), strict=True)
    return [
        f"{share:.0%} of {target.concept!r} is left in the {NAMES[role]}, not the {tau:.0%} asked "
        f"for, with the largest weight allowed; raise -p cap, or name another --anchor"
        for (target, tau), share in left
        if share > tau + NEAR
    ]
