"""Whether a file is what its ledger says: its parent, but for what was edited.

What a header claims is no proof of who wrote it. What is checked here cannot be claimed falsely all
the same: that the parent is the one named, and that every tensor which the ledger does not name
has the parent's bytes. For who wrote a file there are signatures.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ckptedit.deltas.change import digest, patched
from ckptedit.deltas.delta import Delta, is_delta, open_delta
from ckptedit.deltas.fit import fit, some
from ckptedit.deltas.labels import MODEL_HASH, SPEC_HASH
from ckptedit.families import spelled_like
from ckptedit.files import Checkpoint, escape, ledger, opened
from ckptedit.files.hashing import Hasher
from ckptedit.files.history import trunk
from ckptedit.files.touched import may_differ, recorded
from ckptedit.progress import Track, silent


@dataclass(frozen=True)
class Claim:
    """claim: what is claimed, in a word; holds: whether it is so; detail: how it was found."""

    claim: str
    holds: bool
    detail: str


@dataclass(frozen=True)
class Verdict:
    """What was found.

    tensors: how many there are, changed, recorded as touched, and untouched; None of a delta
    """

    edited: str
    parent: str
    claims: tuple[Claim, ...]
    tensors: dict[str, int] | None = None

    @property
    def verified(self) -> bool:
        return all(claim.holds for claim in self.claims)

    def as_dict(self) -> dict[str, Any]:
        """The findings under their stable names, for JSON."""
        return {
            "verified": self.verified,
            "edited": self.edited,
            "parent": self.parent,
            "claims": [asdict(claim) for claim in self.claims],
            "failed": [claim.claim for claim in self.claims if not claim.holds],
            "tensors": self.tensors,
        }


def verify(
    edited: str | Path | Checkpoint, parent: str | Path | Checkpoint, *, track: Track = silent
) -> Verdict:
    """Holds an edited checkpoint, or a delta, against what it was made from.

    edited, parent: by name or open; the parent may be any that the ledger goes back to
    Raises BadCheckpoint if one cannot be read, or is malformed. What is not so is no error.
    """
    with ExitStack() as stack:
        ours, theirs = (stack.enter_context(opened(each)) for each in (edited, parent))
        if is_delta(ours):
            return _verify_delta(ours, theirs, track)
        return _verify_checkpoint(ours, theirs, track)


def _verify_checkpoint(edited: Checkpoint, parent: Checkpoint, track: Track) -> Verdict:
    known, ours = trunk(parent.ledger), trunk(edited.ledger)
    lines = ledger.beyond(known, ours)
    if reason := _no_history(edited, parent, len(ours) - len(lines) < len(known), bool(ours)):
        return Verdict(edited.label, parent.label, (Claim("ledger", False, reason),))
    if not lines:
        reason = f"it tells of nothing that was done since {parent.label}"
        return Verdict(edited.label, parent.label, (Claim("ledger", False, reason),))
    found = Claim("ledger", True, f"{len(lines)} entries since the parent: {_operations(lines)}")
    view = spelled_like(edited, parent)
    lists = recorded(lines)
    alike = _same_tensors(edited, view, parent, lists or [])
    sha256, changed = _compared(view, parent, track)
    touched = {name for name in view if may_differ(name, lists or [])}
    astray = [name for name in changed if name not in touched]
    counts = {"tensors": len(view), "changed": len(changed), "recorded": len(touched),
              "untouched": len(view) - len(touched)}  # fmt: skip
    claims = (found, _parent(lines, sha256, parent), alike, _touched(lists, astray, counts),
              *_own_hash(edited))  # fmt: skip
    return Verdict(edited.label, parent.label, claims, counts)


def _no_history(edited: Checkpoint, parent: Checkpoint, lost: bool, any_lines: bool) -> str | None:
    if not any_lines:
        return f"{edited.label} has no ledger: nothing says what was done to it"
    if lost:
        return f"{parent.label} has entries in its ledger that {edited.label} has not"
    return None


def _operations(lines: Sequence[Any]) -> str:
    return ", ".join(escape(line.get("operation", "?")) for line in lines)


def _parent(lines: Sequence[Any], found: str, parent: Checkpoint) -> Claim:
    """The first entry names the parent; or, behind those of a delta, the entry of its `apply`."""
    applied = next((line for line in lines if line.get("operation") == "apply"), lines[0])
    named = [str(line.get("parent_sha256")) for line in (lines[0], applied)]
    if found in named:
        return Claim("parent", True, f"{parent.label} has the digest {found[:12]}… of the ledger")
    return Claim(
        "parent", False, f"{parent.label} has the digest {found[:12]}…, the ledger names "
        f"{escape(named[0][:12])}…"
    )  # fmt: skip


def _same_tensors(
    edited: Checkpoint, view: Checkpoint, parent: Checkpoint, lists: Sequence[Sequence[str]]
) -> Claim:
    gone = [name for name in parent if name not in view]
    new = [name for name in view if name not in parent and not may_differ(name, lists)]
    other = [n for n in view if n in parent and _form(view, n) != _form(parent, n)]
    for names, what in ((gone, "are missing"), (new, "are new"), (other, "have another form")):
        if names:
            return Claim("tensors", False, f"{some(names, len(parent))} {what}")
    return Claim("tensors", True, f"the same {len(edited)} tensors, shapes and dtypes")


def _form(checkpoint: Checkpoint, name: str) -> tuple[str, tuple[int, ...]]:
    return checkpoint[name].dtype, checkpoint[name].shape


def _compared(edited: Checkpoint, parent: Checkpoint, track: Track) -> tuple[str, list[str]]:
    """sha256 of the parent's data, and the tensors of both that have other bytes."""
    changed = []
    with Hasher() as hasher:
        for name in track(list(parent), "comparing"):
            same = name in edited and _form(edited, name) == _form(parent, name)
            differs, start = not same, 0
            for piece in parent.chunks(name):
                with hasher.updating(piece):
                    if not differs:
                        ours = bytearray(len(piece))
                        edited.read_into(name, ours, start)
                        differs = ours != piece
                        start += len(piece)
            if differs and name in edited:
                changed.append(name)
        return hasher.hexdigest(), changed


def _touched(
    lists: Sequence[Sequence[str]] | None, astray: Sequence[str], counts: dict[str, int]
) -> Claim:
    if lists is None:
        return Claim("untouched", False, "an entry does not say which tensors it touched")
    if astray:
        what = some(astray, counts["tensors"])
        return Claim("untouched", False, f"{what} differ, and the ledger does not name them")
    detail = f"{counts['untouched']} tensors are the parent's to the byte; of "
    detail += f"{counts['recorded']} that the ledger names, {counts['changed']} differ"
    return Claim("untouched", True, detail)


def _own_hash(edited: Checkpoint) -> list[Claim]:
    """Whether the file's data has the digest that its metadata says, if they say one."""
    said = {key: edited.metadata.get(key, "") for key in (MODEL_HASH, SPEC_HASH)}
    said = {key: text.removeprefix("0x") for key, text in said.items() if text}
    if not said:
        return []
    found = edited.data_sha256()
    wrong = [key for key, text in said.items() if text != found]
    if wrong:
        return [Claim("digest", False, f"its data has the digest {found[:12]}…, {wrong[0]} says "
                      f"{escape(said[wrong[0]][:12])}…")]  # fmt: skip
    return [Claim("digest", True, f"its data has the digest {found[:12]}… of {', '.join(said)}")]


def _verify_delta(file: Checkpoint, parent: Checkpoint, track: Track) -> Verdict:
    own = _own_hash(file)
    if not all(claim.holds for claim in own):
        return Verdict(file.label, parent.label, tuple(own))
    delta = open_delta(file)
    whole = parent.data_sha256() == delta.base_sha256
    detail = f"{parent.label} is the base that it names" if whole else "it names another base"
    claims = [*own, Claim("parent", whole, detail)]
    delta = delta.spelled_like(parent)
    misfits = fit(parent, delta)
    wrong = (*misfits.missing, *misfits.reshaped, *misfits.differing, *misfits.unknown)
    if wrong:
        what = some(wrong, len(delta.entries))
        claims.append(Claim("tensors", False, f"{what} are not what it was made from"))
    else:
        claims.append(_result(delta, parent, track))
    return Verdict(file.label, parent.label, tuple(claims))


def _result(delta: Delta, parent: Checkpoint, track: Track) -> Claim:
    """Whether what comes out of applying it has the digests that it names."""
    count = len(delta.entries)
    with Hasher() as hasher:
        for name in track(list(parent), "applying"):
            if name not in delta.entries:
                for piece in parent.chunks(name):
                    with hasher.updating(piece):
                        pass
                continue
            made = patched(parent.raw(name), parent[name], delta.change(name), 1.0)
            if digest(made) != delta.entries[name].result:
                return Claim("result", False, f"{escape(name)} comes out with another digest")
            with hasher.updating(made.data):
                pass
        found = hasher.hexdigest()
    if found != delta.result_sha256 and not delta.respelled:
        named = escape(str(delta.result_sha256)[:12])
        return Claim("result", False, f"{found[:12]}… comes out, it names {named}…")
    return Claim("result", True, f"{count} tensors change as it says; {found[:12]}… comes out")
