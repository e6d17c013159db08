"""Faults that the tests must catch, and a runner that plants them one by one.

    python tests/mutants.py            plants all, prints what became of each; status 1 if one lives
    python tests/mutants.py bank uce   only those whose file or story holds one of the words

Each is a line of the science that would silently be wrong. The package and its tests are copied
once, one line is changed, and the tests named beside it run until one fails. That every line is
still there, once, is a test of the suite itself (test_mutants.py).
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

LAWS = "tests/laws/test_guard_laws.py"
CLAIMS = "tests/laws/test_guard_claims.py"
METHODS = "tests/laws/test_method_laws.py"
OBJECTIVES = "tests/laws/test_objective_laws.py"
BANK = "tests/erasure/test_bank.py"
ERASE = "tests/erasure/test_erase.py"
GUARDS = "tests/guards"
SPELLINGS = "tests/conversion/test_spellings.py"
VERIFY = "tests/test_cli_verify.py"
PRIVATE = "tests/test_cli_private.py"
TRAINING = "tests/erasure/test_training.py"
DIVERGENCES = "tests/erasure/test_divergences.py"
SURGERY = "tests/erasure/test_surgery.py"
CRITICS = "tests/erasure/test_critics.py"
BASELINES = "tests/erasure/test_baselines.py"
ABLATION = "tests/erasure/test_ablation.py"
CONSTRAINED = "tests/erasure/test_constrained.py"
FORMS = "tests/erasure/closed_forms"
BALANCED = "tests/erasure/test_balanced.py"
CONCEPTS = "tests/concepts"
STREAMING = "tests/text/test_streaming.py"
SUBSPACE = "tests/subspaces/test_subspace.py"
VOCABULARY = "tests/subspaces/test_vocabulary.py"
SUITE = "tests/evaluation/test_suite.py"
INTERVALS = "tests/evaluation/test_intervals.py"
PARTS = "tests/evaluation/test_parts.py"
FIDELITY = "tests/evaluation/test_fidelity.py"
MATCHED = "tests/evaluation/test_matched.py"
TOWERS = "tests/evaluation/test_towers.py"
VIT = "tests/evaluation/test_vit.py"
AUDITS = "tests/audits/test_quick_probes.py"
DEEP = "tests/audits/test_deep_probes.py"
KINDS = "tests/deltas/kinds/test_by_hand.py"
PACKED = "tests/deltas/test_packings.py"
PARTIAL = "tests/deltas/test_partial_checkpoints.py"
LOADED = "tests/deltas/test_loaded_by_diffusers.py"
PICKLED = "tests/files/test_pickled.py"
REPORT = "tests/reports/test_cli_report.py"


class Mutant(NamedTuple):
    story: str  # what a user would suffer
    file: str  # in the package
    old: str  # stands in the file once
    new: str
    tests: str  # which of the tests must notice


MUTANTS = (
    Mutant(
        "what lies between the targets is not held, and goes with them",
        "erasure/closed_forms/weighing.py",
        "pushed, held.pushed(holding, moved)",
        "pushed, holding",
        BALANCED,
    ),
    Mutant(
        "what cannot be held keeps the targets from being erased",
        "erasure/closed_forms/weighing.py",
        "torch.minimum(firmer, self.most)",
        "firmer",
        BALANCED,
    ),
    Mutant(
        "what a stranger wrote is markup on the page of a report",
        "reports/page.py",
        "autoescape=True",
        "autoescape=False",
        REPORT,
    ),
    Mutant(
        "a report tells the prompts of concepts that a ledger hides",
        "reports/page.py",
        'prompt = "" if veil.hidden or not row.concept',
        'prompt = "" if not row.concept',
        REPORT,
    ),
    Mutant(
        "a report shows another checkpoint as what a request wrote",
        "reports/story.py",
        "if found.data_sha256() != line.sha256:",
        "if not line.sha256:",
        REPORT,
    ),
    Mutant(
        "the commands of a report leave out what requests had in common",
        "reports/commands.py",
        '("[defaults]", settings.get("options")),',
        "",
        "tests/reports/test_commands.py",
    ),
    Mutant(
        "a LoRA without its alpha over its rank is too strong, or too weak",
        "deltas/kinds/kind.py",
        'float(self.values("alpha").reshape(())) / rank',
        'float(self.values("alpha").reshape(()))',
        KINDS,
    ),
    Mutant(
        "the scale of a LoKr counts twice, as LyCORIS merges it",
        "deltas/kinds/lokr.py",
        "[:, None, :] * self.scale",
        "[:, None, :] * self.scale**2",
        KINDS,
    ),
    Mutant(
        "a Kronecker product the other way round: every block holds the small factor",
        "deltas/kinds/lokr.py",
        "outer, inner = np.divmod(np.arange(first, last), len(self.large))",
        "inner, outer = np.divmod(np.arange(first, last), len(self.small))",
        KINDS,
    ),
    Mutant(
        "the alpha of a LoKr without a rank scales it",
        "deltas/kinds/kind.py",
        "return 1.0\n            return float",
        "rank = 1\n            return float",
        KINDS,
    ),
    Mutant(
        "a LoHa adds its halves",
        "deltas/kinds/loha.py",
        "self.first.stretch(start, stop) * self.second",
        "self.first.stretch(start, stop) + self.second",
        KINDS,
    ),
    Mutant(
        "the core of a convolution's factors is left out on one side",
        "deltas/kinds/loha.py",
        'through(parts.values(f"t{number}"), down)',
        'through(parts.values("t1"), down)',
        KINDS,
    ),
    Mutant(
        "the norm of a DoRA's rows is that of the weight alone, as ComfyUI has it",
        "deltas/kinds/dora.py",
        "np.linalg.norm(new, axis=1, keepdims=True)",
        "np.linalg.norm(old, axis=1, keepdims=True)",
        KINDS,
    ),
    Mutant(
        "a magnitude of PEFT's, of a square convolution's rows, is put on its columns",
        "deltas/kinds/dora.py",
        "return False if parts.shape(PEFT) in rows else None",
        "return parts.shape(PEFT) not in rows[:1]",
        KINDS,
    ),
    Mutant(
        "new values go through a sum, which loses the small ones",
        "deltas/kinds/values.py",
        "if (name := weight.whole) is None:",
        "if (name := weight.whole) or True:",
        PARTIAL,
    ),
    Mutant(
        "a share of new values is a share of what the base's dtype makes of them",
        "deltas/change.py",
        "(new if self.wanted is None else",
        "(new if True else",
        PARTIAL,
    ),
    Mutant(
        "new values are taken out by subtracting them from themselves",
        "deltas/application.py",
        "if reverse and (name := opened.one_way):",
        "if False and (name := opened.one_way):",
        PARTIAL,
    ),
    Mutant(
        "q, k and v of a packed text encoder are thirds in another order",
        "deltas/addresses.py",
        "place._replace(start=source.part * third, stop=(source.part + 1) * third)",
        "place._replace(start=(2 - source.part) * third, stop=(3 - source.part) * third)",
        PARTIAL,
    ),
    Mutant(
        "a part of a packed weight is taken from the beginning of the change",
        "deltas/rows.py",
        "shift = piece.first * self.width - low",
        "shift = -low",
        PACKED,
    ),
    Mutant(
        "shift and scale of the last norm trade places for a file of the other layout",
        "deltas/packings.py",
        "return [(name, middle, stop), (name, start, middle)]",
        "return [rows]",
        PACKED,
    ),
    Mutant(
        "two changes of the same rows are added up",
        "deltas/foreign.py",
        "if any(run.stop > after.start",
        "if any(run.start > after.start",
        PACKED,
    ),
    Mutant(
        "a module that is not in the base is passed over",
        "deltas/foreign.py",
        "if strange:",
        "found = {g: k for g, k in found.items() if places[g]}\n    if not found:",
        PARTIAL,
    ),
    Mutant(
        "a rank-stabilised LoRA of PEFT's is divided by its rank",
        "deltas/peft_config.py",
        "(sqrt(over) if root else over)",
        "over",
        LOADED,
    ),
    Mutant(
        "an alpha of PEFT's for some modules is taken for none",
        "deltas/peft_config.py",
        "alpha = value\n",
        "pass\n",
        LOADED,
    ),
    Mutant(
        "a pickle is run",
        "files/pickled.py",
        "weights_only=True, mmap",
        "weights_only=False, mmap",
        PICKLED,
    ),
    Mutant(
        "a tensor that claims to be a thousand times its file is read",
        "files/pickled.py",
        "if size > tensor.untyped_storage().nbytes():",
        "if size < 0:",
        PICKLED,
    ),
    Mutant(
        "the teacher reads the target's prompt, so nothing is ever unlearned",
        "erasure/bank.py",
        "seen(anchors),",
        "seen(prompts),",
        BANK,
    ),
    Mutant(
        "a style's anchor prompt names the target",
        "concepts/prompts.py",
        'fill("a {style} of a {object}", style=target.anchor, object=word)',
        'fill("a {style} of a {object}", style=target.concept, object=word)',
        CONCEPTS,
    ),
    Mutant(
        "distillation rehearses the target",
        "guards/distill.py",
        "setting.moments(RETAINED)",
        'setting.moments(RETAINED._replace(of="targets"))',
        LAWS,
    ),
    Mutant(
        "earlier targets are not rehearsed, and come back",
        "concepts/prompts.py",
        "for target in request.earlier]",
        "for target in ()]",
        CONCEPTS,
    ),
    Mutant(
        "retained prompts are left out of the moment of gradproj:soft",
        "guards/gradproj_soft.py",
        "if len(setting.retain):",
        "if False:",
        LAWS,
    ),
    Mutant(
        "what a guard changes after a step is ignored",
        "erasure/train.py",
        "            part.follow()\n",
        "            pass\n",
        LAWS,
    ),
    Mutant(
        "few directions learn slowly: the rate has no gain",
        "erasure/train.py",
        "return 1.0 if directions is None else (len(directions) / directions.shape[1]) ** 0.5",
        "return 1.0",
        LAWS,
    ),
    Mutant(
        "apply does not check the digest of the result",
        "deltas/apply.py",
        "if expected and digest(result) != expected:",
        "if False:",
        "tests/deltas tests/test_cli_apply.py",
    ),
    Mutant(
        "the weights do not follow the amounts that are trained",
        "erasure/confined.py",
        "self.weight.copy_(self._here(self.start) + self.delta())",
        "self.weight.copy_(self._here(self.start))",
        TRAINING,
    ),
    Mutant(
        "the gradient is not confined",
        "erasure/confined.py",
        "self.amount.grad = self.reachable(self.hand_over())",
        "self.amount.grad = -self.reachable(self.hand_over())",
        TRAINING,
    ),
    Mutant(
        "guards that differ in what they allow are not combined",
        "guards/guard.py",
        "allowed = allowed @ left[:, cosines.square() > 1 - SAME**2]",
        "allowed = allowed",
        LAWS,
    ),
    Mutant(
        "the hard projection writes into what it protects",
        "guards/guard.py",
        "return right[rank:].mT.float()",
        "return right[:rank].mT.float()",
        LAWS,
    ),
    Mutant(
        "the basis protects one direction too few",
        "subspaces/subspace.py",
        "keep = min(keep, int((shares < energy - 1e-12).sum()) + 1)",
        "keep = min(keep, int((shares < energy - 1e-12).sum()))",
        SUBSPACE,
    ),
    Mutant(
        "the soft directions are those in which the target is weakest",
        "subspaces/subspace.py",
        "subset_by_index=(dim - rank, dim - 1)",
        "subset_by_index=(0, rank - 1)",
        SUBSPACE,
    ),
    Mutant(
        "the ridge is not scaled by the moment",
        "subspaces/subspace.py",
        "rest = rest + ridge * rest.trace() / dim *",
        "rest = rest + ridge *",
        SUBSPACE,
    ),
    Mutant(
        "the leak is measured of nothing",
        "erasure/measure.py",
        "return float((change - change @ reach @ reach.T).square().sum())",
        "return 0.0",
        TRAINING,
    ),
    Mutant(
        "coverage and room are mixed up",
        "erasure/measure.py",
        "coverage=1 - _share(second_moment(retain), reach),",
        "coverage=_share(second_moment(retain), reach),",
        TRAINING,
    ),
    Mutant(
        "of many tokens only some directions are measured",
        "erasure/measure.py",
        'torch.linalg.qr(used, mode="r").R',
        'torch.linalg.qr(used, mode="r").R[:-1]',
        TRAINING,
    ),
    Mutant(
        "a streamed layer is filled with another's weights",
        "families/streaming.py",
        'partial(_fill, own, f"{place}.")',
        'partial(_fill, own, f"{place[:-1]}0.")',
        STREAMING,
    ),
    Mutant(
        "streamed embeddings are added in half precision",
        "families/streaming.py",
        "return rows.float()",
        "return rows",
        STREAMING,
    ),
    Mutant(
        "drift is measured before rounding to the stored dtype",
        "erasure/measure.py",
        'sums["stored"] += float(stored.square().sum())',
        'sums["stored"] += float(exact.square().sum())',
        TRAINING,
    ),
    Mutant(
        "a closed form forgets the earlier targets",
        "erasure/closed_forms/sides.py",
        "goals = [*request.targets, *request.earlier]",
        "goals = [*request.targets]",
        FORMS,
    ),
    Mutant(
        "a closed form does not hold what stays",
        "erasure/closed_forms/solving.py",
        "+ preserve * stay.T @ stay",
        "",
        FORMS,
    ),
    Mutant(
        "what is masked moves with Adam's momentum",
        "erasure/confined.py",
        "self.amount.copy_(held + self.freedom(self.amount - held))",
        "pass",
        TRAINING,
    ),
    Mutant(
        "masks and directions do not hold together",
        "erasure/freedom.py",
        "self.rows = row_projections(self.directions, self.mask)",
        "pass",
        TRAINING,
    ),
    Mutant(
        "a rule compares gradients that no weight can follow",
        "erasure/combined.py",
        "part.reachable(own[i]).flatten()",
        "own[i].flatten()",
        TRAINING,
    ),
    Mutant(
        "the edit that a training began with is left out of what is written",
        "erasure/confined.py",
        "return own if self.initial is None else total(self.initial, own)",
        "return own",
        TRAINING,
    ),
    Mutant(
        "soft projection chooses where another guard forbids",
        "guards/gradproj_soft.py",
        "if setting.free is None:",
        "if True:",
        LAWS,
    ),
    Mutant(
        "pictures of the anchor are taken for the target's own",
        "erasure/bank.py",
        'drawn = anchors if want.states == "anchor" else prompts',
        "drawn = anchors",
        BANK,
    ),
    Mutant(
        "averaged copies keep the concept",
        "erasure/job.py",
        "edits = job.weights.with_copies(edits)",
        "edits = dict(edits)",
        ERASE,
    ),
    Mutant(
        "a resumed training draws other batches",
        "erasure/train.py",
        'self.rng.set_state(state["rng"])',
        "pass",
        ERASE,
    ),
    Mutant(
        "a resumed training starts Adam anew",
        "erasure/train.py",
        '                name: state[f"{name}.{i}"]',
        '                name: 0 * state[f"{name}.{i}"]',
        ERASE,
    ),
    Mutant(
        "another training's state is gone on with",
        "erasure/job.py",
        "facts = (asdict(self.request), self.options.facts(), self.threads, asdict(self.lexicon))",
        "facts = (self.threads,)",
        ERASE,
    ),
    Mutant(
        "the student computes in another precision than its teacher",
        "erasure/trained.py",
        "    with model.autocast():\n        return model.denoiser(",
        "    if True:\n        return model.denoiser(",
        BANK,
    ),
    Mutant(
        "a velocity is taken for noise",
        "families/own.py",
        'said = own_config(checkpoint, "scheduler").get("prediction_type")',
        "said = None",
        ERASE,
    ),
    Mutant(
        "pictures of one anchor all have the same noise",
        "erasure/bank.py",
        "met[prompt] += 1",
        "met[prompt] += 0",
        BANK,
    ),
    Mutant(
        "the objective trains on what must stay",
        "erasure/objectives/conabl.py",
        "setting.moments(TARGETS)",
        'setting.moments(TARGETS._replace(of="retained"))',
        f"{LAWS} {OBJECTIVES} tests/erasure",
    ),
    Mutant(
        "a bank is taken for that of another checkpoint",
        "diffusion/model.py",
        'return f"{self.checkpoint.data_sha256()} {facts}"',
        'return f"{facts}"',
        f"{BANK} {ERASE}",
    ),
    Mutant(
        "evaluation counts erased pictures as retained",
        "evaluation/score.py",
        "gone = [[1 - hit for hit in hits]",
        "gone = [list(hits)",
        SUITE,
    ),
    Mutant(
        "evaluation draws sentences that methods train on",
        "evaluation/suite.py",
        "FRAME = HELD_OUT_FRAMES[0]",
        'FRAME = "a {object} in {style} style"',
        SUITE,
    ),
    Mutant(
        "names that differ in case are two concepts",
        "concepts/names.py",
        ".casefold()",
        "",
        CONCEPTS,
    ),
    Mutant(
        "moments and prompts of a bank are out of step",
        "erasure/bank.py",
        "clean = clean.repeat_interleave(moments, 0)",
        "clean = clean.repeat(moments, 1, 1, 1)",
        BANK,
    ),
    Mutant(
        "the pictures of a bank are hardly noised",
        "erasure/bank.py",
        "model.schedule.add_noise(clean, noise, t)",
        "model.schedule.add_noise(clean, noise, 0 * t)",
        BANK,
    ),
    Mutant(
        "what a guard changes of the gradients never happens",
        "erasure/train.py",
        "            stage.after_backward()\n",
        "            pass\n",
        LAWS,
    ),
    Mutant(
        "the rate falls to nothing",
        "erasure/train.py",
        "peak, last = lr * _gain(allowed), lr * LAST",
        "peak, last = lr * _gain(allowed), 0.0",
        LAWS,
    ),
    Mutant(
        "the hard projection protects all positions, whatever is asked",
        "guards/gradproj_hard.py",
        "reading.retain[reading.keep]",
        "reading.retain.flatten(0, 1)",
        LAWS,
    ),
    Mutant(
        "the ridge of an object is a style's, and objects survive",
        "guards/gradproj_soft.py",
        "RIDGES[setting.kind]",
        'RIDGES["style"]',
        LAWS,
    ),
    Mutant(
        "a moment is taken for that of another lexicon",
        "subspaces/vocabulary.py",
        "key = digest([VERSION, encoder.digest(), *words])",
        "key = digest([VERSION, encoder.digest()])",
        VOCABULARY,
    ),
    Mutant(
        "synonyms of a target are retained",
        "concepts/neighbors.py",
        "if neighbor.cosine <= SYNONYM",
        "if neighbor.cosine <= 2",
        CONCEPTS,
    ),
    Mutant(
        "what was erased before is taught to draw what is erased now",
        "concepts/request.py",
        "        still(target)\n",
        "        target\n",
        CONCEPTS,
    ),
    Mutant(
        "a target's plural is retained, or stands in for it",
        "concepts/names.py",
        "return a == b or a in _plurals(b) or b in _plurals(a)",
        "return a == b",
        CONCEPTS,
    ),
    Mutant(
        "what was erased stays if it is named beside another word",
        "concepts/request.py",
        "if mentions(encoder, name, target.concept):",
        "if False:",
        CONCEPTS,
    ),
    Mutant(
        "a bank is taken for that of another noise schedule",
        "diffusion/model.py",
        "own = (self.latent_shape, sorted(self.schedule.config.items()))",
        "own = (self.latent_shape,)",
        BANK,
    ),
    Mutant(
        "another lexicon's training is gone on with",
        "erasure/job.py",
        "self.threads, asdict(self.lexicon))",
        "self.threads)",
        ERASE,
    ),
    Mutant(
        "a retained concept is scored where an erased one was asked for",
        "evaluation/score.py",
        " and getattr(d.cell, OTHER[kind]) not in erased",
        "",
        SUITE,
    ),
    Mutant(
        "what stands for others is taken for all that there is",
        "evaluation/intervals.py",
        "drawn_whole = whole and len(rows) >= FEW",
        "drawn_whole = False",
        INTERVALS,
    ),
    Mutant(
        "a hundred of a hundred is certain",
        "evaluation/intervals.py",
        "away = 1 - ((1 - LEVEL) / 2) ** (1 / n)",
        "away = 0.0",
        INTERVALS,
    ),
    Mutant(
        "answers about another checkpoint are taken from the cache",
        "evaluation/drawing.py",
        "digest([model.fingerprint(), numbers, *prompts,",
        "digest([numbers, *prompts,",
        PARTS,
    ),
    Mutant(
        "a judge is answered for by another",
        "evaluation/drawing.py",
        "digest([key, eye.key])",
        "digest([key])",
        PARTS,
    ),
    Mutant(
        "parts of two evaluations are put together",
        "evaluation/parts.py",
        "if part.asked.get(key) != value:",
        "if False:",
        PARTS,
    ),
    Mutant(
        "a limit on what was not measured is reached",
        "evaluation/limits.py",
        "if unknown and limit > 0:",
        "if False:",
        PARTS,
    ),
    Mutant(
        "KID counts each picture beside itself",
        "evaluation/fidelity.py",
        "(kernel.sum() - np.trace(kernel)) / (n * (n - 1))",
        "kernel.sum() / (n * n)",
        FIDELITY,
    ),
    Mutant(
        "pictures from one noise are held against each other",
        "evaluation/parts.py",
        "distance(mine, theirs, paired_kid)",
        "distance(mine, theirs)",
        "tests/test_cli_eval.py",
    ),
    Mutant(
        "FID leaves out what the covariances share",
        "evaluation/fidelity.py",
        "- 2 * np.sqrt(both.clip(0)).sum()",
        "- np.sqrt(both.clip(0)).sum()",
        FIDELITY,
    ),
    Mutant(
        "methods are compared beyond what they reach",
        "evaluation/matched.py",
        "level = min(line[-1][0] for line in lines.values())",
        "level = max(line[-1][0] for line in lines.values())",
        MATCHED,
    ),
    Mutant(
        "what comes back counts as progress",
        "evaluation/matched.py",
        "after[name] - before[name]",
        "before[name] - after[name]",
        MATCHED,
    ),
    Mutant(
        "pictures of a CLIP score are not centred as CLIP has them",
        "evaluation/clip_folder.py",
        "return (values - mean) / deviation",
        "return values / deviation",
        TOWERS,
    ),
    Mutant(
        "a classifier's own order of classes is ignored",
        "evaluation/classifiers.py",
        "found[kind] = read.order[torch.cat(seen).numpy()]",
        "found[kind] = torch.cat(seen).numpy()",
        VIT,
    ),
    Mutant(
        "a classifier sees pictures from 0 to 1",
        "evaluation/vit.py",
        "permute(0, 3, 1, 2).float() / 127.5 - 1",
        "permute(0, 3, 1, 2).float() / 255",
        VIT,
    ),
    Mutant(
        "published prompts get our articles",
        "evaluation/suite.py",
        "if self.frame in HELD_OUT_FRAMES:",
        "if True:",
        SUITE,
    ),
    Mutant(
        "all seeds of a picture have one noise",
        "evaluation/suite.py",
        "return (self.style, self.object, self.seed)",
        "return (self.style, self.object, 0)",
        SUITE,
    ),
    Mutant(
        "a delta's gram is that of what stays",
        "erasure/job.py",
        "gram = second_moment(target).float()",
        "gram = second_moment(retain).float()",
        ERASE,
    ),
    Mutant(
        "the ledger does not tell what was retained",
        "erasure/job.py",
        '"retain": list(self.request.retained),',
        '"retain": [],',
        ERASE,
    ),
    Mutant(
        "the words of earlier targets are not protected",
        "erasure/reading.py",
        "names = [*request.retained, *(target.concept for target in request.earlier)]",
        "names = [*request.retained]",
        ERASE,
    ),
    Mutant(
        "the published projection of gradients does not even do what was published",
        "guards/gradproj_gradient.py",
        "weight.grad = weight.grad @ self.projector.to(weight.grad)",
        "pass",
        CLAIMS,
    ),
    Mutant(
        "a distillation of weight 0 draws from the training's generator",
        "guards/distill.py",
        "        if not self.weight:\n            return None\n",
        "",
        CLAIMS,
    ),
    Mutant(
        "selective fine-tuning lets the weights move that matter least",
        "guards/selft.py",
        "return {name: (weights[name].detach() * total[name]).abs() for name in weights}",
        "return {name: -(weights[name].detach() * total[name]).abs() for name in weights}",
        GUARDS,
    ),
    Mutant(
        "selective fine-tuning forgets the size of the weights",
        "guards/selft.py",
        "(weights[name].detach() * total[name]).abs()",
        "total[name].abs()",
        GUARDS,
    ),
    Mutant(
        "a mask of whole rows is not kept beside directions",
        "erasure/freedom.py",
        "self.entries = whole",
        "self.entries = None",
        f"{CLAIMS} {GUARDS}",
    ),
    Mutant(
        "all sentences with the anchor are protected where its name was asked for",
        "guards/anchor.py",
        "tokens = reading.anchors[reading.named]",
        "pass",
        GUARDS,
    ),
    Mutant(
        "the target's name is taken for the anchor's, and protected",
        "erasure/reading.py",
        "anchors = [target.anchor for target in request.targets]",
        "anchors = [target.concept for target in request.targets]",
        ERASE,
    ),
    Mutant(
        "a divergence weighs by the mean of the entries, and is KL",
        "erasure/objectives/fdiv.py",
        "self.divergence.loss(gaps / unit)",
        "self.divergence.loss(gaps / unit / 1e3)",
        DIVERGENCES,
    ),
    Mutant(
        "the slope of Jensen-Shannon is that of its first moment",
        "erasure/divergences.py",
        "torch.sigmoid(-_log_ratio(s)).square()",
        "torch.sigmoid(-_log_ratio(s))",
        DIVERGENCES,
    ),
    Mutant(
        "a divergence that weighs steeply is flat where it is steepest",
        "erasure/divergences.py",
        "beyond = torch.expm1(torch.tensor(STEEP, dtype=x.dtype)) + exp(STEEP) * (x - STEEP)",
        "beyond = torch.expm1(torch.tensor(STEEP, dtype=x.dtype)) + 0 * x",
        DIVERGENCES,
    ),
    Mutant(
        "a step of DDPM is taken for one without its alpha",
        "erasure/scales.py",
        "beta / ((1 - beta) * (1 - abar))",
        "beta / (1 - abar)",
        DIVERGENCES,
    ),
    Mutant(
        "the scale forgets all but the last batch",
        "erasure/scales.py",
        "self.medians.lerp(now, FOLLOW)",
        "now",
        DIVERGENCES,
    ),
    Mutant(
        "a divergence that is KL in numbers is not told so",
        "erasure/objectives/fdiv.py",
        "if self.plain or not self.weights:",
        "if True:",
        DIVERGENCES,
    ),
    Mutant(
        "what a method warns of is in no warning",
        "cli/erase_report.py",
        "[*erasure.request.notes, *erasure.warnings]",
        "[*erasure.request.notes]",
        "tests/test_cli_erase_spelled.py",
    ),
    Mutant(
        "of two values of one parameter, one is dropped without a word",
        "erasure/options.py",
        "if own.setdefault(key, value) != value:",
        "if own.setdefault(key, value) is None:",
        "tests/test_cli_erase_spelled.py",
    ),
    Mutant(
        "surgery subtracts the cosine, as released code does, and what is retained grows",
        "erasure/surgery.py",
        "return 1.0, -across / retains if across < 0 else 0.0",
        "return 1.0, -across / (retains * products[0, 0].item() ** 0.5) if across < 0 else 0.0",
        SURGERY,
    ),
    Mutant(
        "surgery of both sides leaves the retained gradient against the erasing one",
        "erasure/surgery.py",
        "1.0 - self.weight * across / erases",
        "1.0",
        SURGERY,
    ),
    Mutant(
        "a critic learns to take the student for real",
        "erasure/objectives/adversarial.py",
        "self.told_apart(*self.critic(both).chunk(2))",
        "self.told_apart(*self.critic(both).chunk(2)[::-1])",
        CRITICS,
    ),
    Mutant(
        "a critic does not learn with the student",
        "erasure/objectives/adversarial.py",
        "        if self.last is not None:\n            self._learn(*self.last)",
        "        pass",
        CRITICS,
    ),
    Mutant(
        "a critic is warmed up again when a training goes on",
        "erasure/objectives/adversarial.py",
        'self.ready = bool(state["ready"])',
        "self.ready = False",
        CRITICS,
    ),
    Mutant(
        "a critic's optimiser starts anew when a training goes on",
        "erasure/critic.py",
        'MOMENTS = ("step", "exp_avg", "exp_avg_sq")',
        'MOMENTS = ("step",)',
        CRITICS,
    ),
    Mutant(
        "the student of fdiv-var goes to what the critic takes for fake",
        "erasure/objectives/fdiv_var.py",
        "return -self.form.real(fake.mean(1))",
        "return self.form.real(fake.mean(1))",
        CRITICS,
    ),
    Mutant(
        "the conjugate of Hellinger is that of its square root",
        "erasure/variational.py",
        "lambda t: t / (1 - t)",
        "lambda t: t / (2 - t)",
        CRITICS,
    ),
    Mutant(
        "doco judges a clean picture that the prediction does not stand for",
        "erasure/objectives/doco.py",
        "(shown.latents - spread * prediction) / signal",
        "(shown.latents - prediction) / signal",
        CRITICS,
    ),
    Mutant(
        "salun trains the weights that matter least",
        "erasure/objectives/salun.py",
        "descending=True",
        "descending=False",
        BASELINES,
    ),
    Mutant(
        "the label of salun is the student on the target's own prompt",
        "erasure/objectives/salun.py",
        "self.setting.student(shown.as_told())",
        "self.setting.student(shown)",
        BASELINES,
    ),
    Mutant(
        "ascent never ends",
        "erasure/ascent.py",
        "(bound - more).clamp_min(0)",
        "(bound - more)",
        BASELINES,
    ),
    Mutant(
        "vdu holds all weights alike",
        "erasure/objectives/vdu.py",
        "(squares + squares.mean())",
        "(2 * squares.mean())",
        BASELINES,
    ),
    Mutant(
        "fmn looks at the words alone, whatever was asked",
        "erasure/objectives/fmn.py",
        "shown.named.cumsum(1) > 0 if",
        "shown.named if",
        BASELINES,
    ),
    Mutant(
        "a concept with many prompts is retained more than one with few",
        "diffusion/moments.py",
        "chances = 1 / torch.bincount(which)[which]",
        "chances = torch.ones(len(which))",
        BASELINES,
    ),
    Mutant(
        "a target's words are not found in its prompts",
        "erasure/bank.py",
        "encoder.positions(pair.prompt, pair.name)",
        "encoder.positions(pair.prompt, pair.prompt)",
        BANK,
    ),
    Mutant(
        "where a UNet looks is not where it would",
        "diffusion/attention.py",
        "(query @ key.mT * attn.scale)",
        "(query @ key.mT)",
        "tests/diffusion/test_attention.py",
    ),
    Mutant(
        "the mean of an update norm is a sum, millions of times as strong",
        "guards/centred.py",
        'if self.norm == "mean" else total',
        'if self.norm == "sum" else total',
        GUARDS,
    ),
    Mutant(
        "L1 pays for changes upwards only",
        "guards/l1.py",
        "change.abs()",
        "change.relu()",
        GUARDS,
    ),
    Mutant(
        "the Fisher information is of gradients, not of their squares",
        "guards/ewc.py",
        "sum_.add_(gradient.square(),",
        "sum_.add_(gradient.abs(),",
        GUARDS,
    ),
    Mutant(
        "the original of a penalty is the checkpoint at hand",
        "guards/centred.py",
        'setting.original if self.around == "original" else setting.weights',
        "setting.weights",
        GUARDS,
    ),
    Mutant(
        "outputs of earlier edits are held where they are weakest",
        "guards/outputs.py",
        "leading = left[:, :rank]",
        "leading = left[:, -rank:]",
        GUARDS,
    ),
    Mutant(
        "outputs are held whether or not they are in the way",
        "guards/outputs.py",
        "if share > self.above * rank / len(now):",
        "if True:",
        GUARDS,
    ),
    Mutant(
        "outputs that are held are written to where weights are masked",
        "erasure/freedom.py",
        "per_column = self.entries.mT[:, :, None] * self.outputs",
        "per_column = (0 * self.entries.mT[:, :, None] + 1) * self.outputs",
        GUARDS,
    ),
    Mutant(
        "any file passes for the original",
        "erasure/original.py",
        "if (found := given.data_sha256()) != first:",
        "if (found := given.data_sha256()) == 0:",
        "tests/test_cli_erase_options.py",
    ),
    Mutant(
        "esd goes towards the concept",
        "erasure/objectives/esd.py",
        "source - self.eta",
        "source + self.eta",
        ABLATION,
    ),
    Mutant(
        "a student that is its own teacher is taught by gradient, too",
        "erasure/objectives/conabl.py",
        "with torch.no_grad():",
        "with torch.enable_grad():",
        ABLATION,
    ),
    Mutant(
        "the mask of sculpmem is of the weakest that it had",
        "erasure/objectives/sculpmem.py",
        "torch.where(mask, -size, -torch.inf)",
        "torch.where(mask, size, -torch.inf)",
        "tests/erasure/test_sculpmem.py",
    ),
    Mutant(
        "sculpmem drops what the frozen model says of the anchor, as released",
        "erasure/objectives/sculpmem.py",
        " + self.recall * aim",
        "",
        "tests/erasure/test_sculpmem.py",
    ),
    Mutant(
        "a multiplier falls while its constraint is violated",
        "erasure/objectives/multipliers.py",
        "self.values + self.rate",
        "self.values - self.rate",
        CONSTRAINED,
    ),
    Mutant(
        "the tilted prediction is not divided by what is left of it",
        "erasure/objectives/ru.py",
        "(base - price * concept) / (1 - price)",
        "base - price * concept",
        CONSTRAINED,
    ),
    Mutant(
        "a constraint that is violated at the end is not said to be",
        "erasure/objectives/multipliers.py",
        "if not left <= TOLERATED",
        "if left > 1",
        CONSTRAINED,
    ),
    Mutant(
        "a folder's second text encoder has its projection turned the wrong way",
        "conversion/names.py",
        "turned = rest == PROJECTION and",
        "turned = False and",
        SPELLINGS,
    ),
    Mutant(
        "q, k and v come together in the order in which the folder has them",
        "conversion/names.py",
        "parts = tuple(thirds[i] for i in range(3))",
        "parts = tuple(thirds.values())",
        SPELLINGS,
    ),
    Mutant(
        "all three of a packed matrix are its first third",
        "conversion/convert.py",
        "start = info.offset + (origin.third or 0) * size",
        "start = info.offset",
        SPELLINGS,
    ),
    Mutant(
        "a LoRA of a packed matrix changes q three times",
        "deltas/peft.py",
        "np.split(factors.up, 3)[third]",
        "np.split(factors.up, 3)[0]",
        "tests/conversion/test_peft.py",
    ),
    Mutant(
        "a tensor that no edit names may differ, and is verified",
        "deltas/verification.py",
        "    if astray:",
        "    if False:",
        VERIFY,
    ),
    Mutant(
        "any file is verified as the parent",
        "deltas/verification.py",
        "    if found in named:",
        "    if True:",
        VERIFY,
    ),
    Mutant(
        "an edit of one matrix is recorded as one of all of its kind",
        "files/touched.py",
        "alone = not ending or ending in closed",
        "alone = not ending",
        VERIFY,
    ),
    Mutant(
        "names stand in the ledger of whoever goes on from one that hides them",
        "erasure/erase.py",
        "if private_concepts or hides(opened.ledger):",
        "if private_concepts:",
        PRIVATE,
    ),
    Mutant(
        "only the spelling that was typed is found again among hidden names",
        "concepts/private.py",
        "{normal(name)}",
        "{name}",
        PRIVATE,
    ),
    Mutant(
        "an edit that is taken out leaves its recipe behind",
        "families/provenance.py",
        "    if not trunk(lines):",
        "    if False:",
        "tests/families/test_provenance.py",
    ),
    Mutant(
        "a share's gradient is not counted for all",
        "diffusion/ranks.py",
        "return ctx.ranks.count * gradient[",
        "return gradient[",
        "tests/laws/test_together_laws.py",
    ),
    Mutant(
        "gradients are compared before they are averaged",
        "erasure/combined.py",
        "            ranks.average(part.weight for part in parts)\n",
        "",
        "tests/laws/test_together_laws.py",
    ),
    Mutant(
        "gradients of a step are not averaged",
        "erasure/train.py",
        "        self.ranks.average(part.weight for part in parts)\n",
        "",
        "tests/laws/test_together_laws.py",
    ),
    Mutant(
        "weights are scored on a share",
        "diffusion/ranks.py",
        "self.ranks, self.begun = ranks, ranks.count == 1",
        "self.ranks, self.begun = ranks, True",
        "tests/laws/test_together_laws.py",
    ),
    Mutant(
        "nobody's rows are gathered, too",
        "diffusion/ranks.py",
        "_Gathered.apply(each, ranks)[:batch]",
        "_Gathered.apply(each, ranks)",
        "tests/laws/test_together_laws.py",
    ),
    Mutant(
        "what was erased counts as retained in the other kind's accuracy",
        "evaluation/score.py",
        "if name not in suite.erased and (hits",
        "if (hits",
        SUITE,
    ),
    Mutant(
        "shards whose prompts were read from other layers are put together",
        "evaluation/planned.py",
        '"clip_skip": self.model.clip_skip,',
        '"clip_skip": None,',
        PARTS,
    ),
    Mutant(
        "shards that two programs looked at are put together",
        "evaluation/planned.py",
        '"detector": commands[0] if commands else None,',
        '"detector": None,',
        PARTS,
    ),
    Mutant(
        "a residual is measured from where the anchor went, and an edit that moved both looks done",
        "audits/subject.py",
        "2 * dot(edited, self.cross, original)",
        "2 * dot(edited, self.after, original)",
        AUDITS,
    ),
    Mutant(
        "keys that were left as they are hide that the values are gone",
        "audits/residual.py",
        '"left": left, "residual": min(residual.values())',
        '"left": left, "residual": max(residual.values())',
        AUDITS,
    ),
    Mutant(
        "what is left of a concept is read of the edited weights alone, and looks less",
        "audits/residual.py",
        "after = dot(mean.edited, products.cross, along)",
        "after = dot(mean.edited, products.after, along)",
        AUDITS,
    ),
    Mutant(
        "the limit on the residual is on plain sentences, not on the worst wording",
        "audits/residual.py",
        'max(counted, key=lambda row: row["residual"])',
        "sentence",
        AUDITS,
    ),
    Mutant(
        "a run's UA is of the last request alone",
        "continual/run.py",
        "self._scores(edited, concepts_of(standing))",
        "self._scores(edited, list(entry.concepts))",
        "tests/test_cli_continual.py",
    ),
    Mutant(
        "an edited text encoder is audited by what the original's says",
        "audits/residual.py",
        "if subject.edited is not subject.encoder:",
        "if subject.edited is None:",
        AUDITS,
    ),
    Mutant(
        "what restores a concept is sought from nothing, and seems far where nothing was erased",
        "audits/recoverability.py",
        "return typed + torch",
        "return torch",
        AUDITS,
    ),
    Mutant(
        "a limit that must be reached counts as kept below it",
        "audits/probe.py",
        "if self.most else value >= limit",
        "if self.most else value <= limit",
        AUDITS,
    ),
    Mutant(
        "the gap of the edited model is measured on other noise",
        "audits/gap.py",
        'noised(model.schedule, latents, t, "gap")',
        "noised(model.schedule, latents, t, str(id(model)))",
        DEEP,
    ),
    Mutant(
        "an inversion steps with the noise level of where it comes from",
        "audits/inversion.py",
        "noise, torch.full_like(at, then))",
        "noise, at)",
        DEEP,
    ),
    Mutant(
        "a prefix search changes another word than the gradient was asked about",
        "audits/prefix.py",
        "slope[:, 1 + place]",
        "slope[:, place]",
        DEEP,
    ),
    Mutant(
        "relearning trains the keys alone",
        "audits/relearning.py",
        "names = list(KVWeights(model.checkpoint, model.family))",
        'names = list(KVWeights(model.checkpoint, model.family, roles="k"))',
        DEEP,
    ),
    Mutant(
        "a style's residual is read in the keys, which no edit of it moves",
        "continual/verify.py",
        'for r in "vk" if',
        'for r in "kv" if',
        "tests/continual/test_verify.py",
    ),
    Mutant(
        "a target that came back is measured against its last line, and never warned of",
        "continual/lines.py",
        'if row["request"] == line["request"]',
        "if True",
        "tests/continual/test_verify.py",
    ),
    Mutant(
        "TIES from running sums trims nothing",
        "merging/running/ties.py",
        "kept = cut.trim(delta, 0)",
        "kept = delta",
        "tests/merging/test_running.py",
    ),
    Mutant(
        "running sums go on from those of other edits",
        "merging/running/grow.py",
        "return (found, inputs) if names == [edit.name for edit in edits] else None",
        "return found, inputs",
        "tests/test_cli_continual.py",
    ),
    Mutant(
        "a closed form held to its budget may erase nothing",
        "continual/budget.py",
        '"min_erase": HALF}',
        '"min_erase": None}',
        "tests/continual/test_budget.py",
    ),
)


def plant(mutant: Mutant, package: Path) -> str:
    """Changes the line; returns the file's text before."""
    path = package / mutant.file
    text = path.read_text()
    assert text.count(mutant.old) == 1, f"{mutant.file} has not once {mutant.old!r}"
    path.write_text(text.replace(mutant.old, mutant.new))
    return text


def lives(mutant: Mutant, copy: Path) -> bool:
    """Whether the tests pass with the fault in place."""
    before = plant(mutant, copy / "ckptedit")
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            [*command, *mutant.tests.split()], cwd=copy, env=environment, capture_output=True
        )
    finally:
        (copy / "ckptedit" / mutant.file).write_text(before)
    assert done.returncode in (0, 1), done.stdout.decode() + done.stderr.decode()
    return done.returncode == 0


def main(words: list[str]) -> int:
    chosen = [m for m in MUTANTS if not words or any(w in m.story + m.file for w in words)]
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("ckptedit", "tests"):
            skip = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=skip)
        shutil.copy(ROOT / "pyproject.toml", copy)
        for mutant in chosen:
            survived = lives(mutant, copy)
            alive += survived
            print(f"{'LIVES ' if survived else 'caught'} {mutant.file}: {mutant.story}", flush=True)
    print(f"{len(chosen) - alive} of {len(chosen)} caught")
    return 1 if alive or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
