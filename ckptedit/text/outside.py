"""Text encoders that no checkpoint holds: loaded by transformers from a folder of the user's.

As diffusers' pipelines of the families read them: Flux.1 fills prompts up to 512 tokens that T5
reads all of; Chroma lets T5 see the prompt alone, and the model one token of padding after it;
Anima puts Qwen3's last state and a T5 tokenizer's numbers through blocks of its own (`llm_adapter`,
which the checkpoint has; `AnimaTextConditioner` in diffusers).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.families import Family
from ckptedit.families.family import Outside
from ckptedit.files import Checkpoint, escape
from ckptedit.text.embeddings import table_of
from ckptedit.text.encoder import TextEncoder
from ckptedit.text.pretrained import component, digest_of, loaded
from ckptedit.text.table import PromptTable

ROOM = 64  # tokens of a prompt; those of ours are short
FILLED = 8  # tokens of padding that are read where all 512 would be


def load_outside(
    checkpoint: Checkpoint,
    family: Family,
    folder: Path,
    names: Sequence[str],
    *,
    device: str = "cpu",
) -> PromptTable:
    """An encoder of prompts from a folder: a diffusers pipeline's, or that of the text encoder.

    names: what stands for all that can be said: the lexicon's
    Raises BadParam for a folder that has no such encoder, BadCheckpoint for a checkpoint that lacks
    its adapter.
    """
    its, (model, *tokenizers) = outside_parts(family, folder)
    encoder = loaded(its.model, model).to(_device(device))
    read = [loaded("AutoTokenizer", place) for place in tokenizers]
    adapter = load_adapter(checkpoint, its).to(encoder.device) if its.adapter else None

    def source(prompts: Sequence[str]) -> list[Tensor]:
        if adapter is None:
            return states(encoder, read[0], prompts, its.length)
        return adapted(encoder, adapter, read[0], read[1], prompts)

    return PromptTable(
        source,
        width=family.text_width,
        room=ROOM,
        stock=lambda frames: [frame.format(name) for frame in frames for name in names],
        key=" ".join(
            [
                family.name,
                *map(digest_of, dict.fromkeys([model, *tokenizers])),
                checkpoint.data_sha256() if its.adapter else "",
            ]
        ),
    )


def outside_parts(family: Family, folder: Path) -> tuple[Outside, list[Path]]:
    """What a family reads text with, and where in a folder: the model, then its tokenizers.

    Raises BadParam for a folder that lacks one, or a family whose files hold their text encoder.
    """
    its = family.outside
    if its is None:
        raise BadParam(
            f"{family.name} files hold their text encoder: leave out --text-encoder; of one "
            "without, --embeddings FILE has what it would read"
        )
    return its, [component(folder, name) for name in its.folders]


@torch.no_grad()
def states(
    encoder: Any, tokenizer: Any, prompts: Sequence[str], length: int | None = None
) -> list[Tensor]:
    """T5's last states of each prompt, [n, d] float32.

    length: tokens that every prompt is filled up to, and all of them seen, as Flux.1 has it; of the
            padding, FILLED rows are returned. None: T5 sees the prompt alone, and one row of
            padding is returned, as Chroma has it
    """
    filled = {"padding": "max_length", "max_length": length} if length else {"padding": "longest"}
    given = tokenizer(list(prompts), return_tensors="pt", **filled)
    given = given.to(encoder.device)
    counts = given.attention_mask.sum(dim=1).tolist()
    if length is None:
        ids, seen = _one_more(given.input_ids, given.attention_mask, tokenizer.pad_token_id)
        hidden = encoder(input_ids=ids, attention_mask=seen).last_hidden_state
    else:
        hidden = encoder(input_ids=given.input_ids).last_hidden_state
    more = FILLED if length else 1
    return [row[: count + more].float() for row, count in zip(hidden, counts, strict=True)]


def _one_more(ids: Tensor, seen: Tensor, pad: int) -> tuple[Tensor, Tensor]:
    """With one more token of padding, which is not seen."""
    blank = ids.new_full((len(ids), 1), pad)
    return torch.cat([ids, blank], dim=1), torch.cat([seen, torch.zeros_like(blank)], dim=1)


@torch.no_grad()
def adapted(
    encoder: Any, adapter: Any, tokenizer: Any, queries: Any, prompts: Sequence[str]
) -> list[Tensor]:
    """What Anima's blocks of text put out, [n, 1024] float32 for n tokens of T5.

    tokenizer: Qwen3's, whose states are looked at; queries: T5's, whose numbers ask
    """
    found = []
    for prompt in prompts:  # one at a time: neither mask is needed
        told = tokenizer([prompt], return_tensors="pt").input_ids.to(encoder.device)
        asked = queries([prompt], return_tensors="pt").input_ids.to(encoder.device)
        if not told.shape[1]:  # Qwen3 has no token for nothing
            told = told.new_zeros((1, 1), dtype=torch.long)
        source = encoder(input_ids=told).last_hidden_state.float()
        out = adapter(source_hidden_states=source, target_input_ids=asked)
        found.append(out[0, : asked.shape[1]])
    return found


def load_adapter(checkpoint: Checkpoint, its: Outside) -> Any:
    """Anima's blocks of text from its checkpoint, strictly; sizes are told from shapes."""
    from diffusers.models.condition_embedders.condition_embedder_anima import (
        AnimaTextConditioner,
    )

    prefix = next((p for p in its.adapter if f"{p}embed.weight" in checkpoint), None)
    if prefix is None:
        raise BadCheckpoint(
            f"{checkpoint.label} holds no {its.adapter[1]}*, which reads its text; give the whole "
            f"file, or --embeddings"
        )
    names = [name for name in checkpoint if name.startswith(prefix)]
    weights = {name.removeprefix(prefix): checkpoint.tensor(name).float() for name in names}
    try:
        width, model = weights["out_proj.weight"].shape
        first = "blocks.0.cross_attn"
        source, head = (
            weights[f"{first}.k_proj.weight"].shape[1],
            len(weights[f"{first}.k_norm.weight"]),
        )
        with torch.device("meta"):
            adapter = AnimaTextConditioner(
                source_dim=source,
                target_dim=width,
                model_dim=model,
                num_layers=1
                + max(int(n.split(".")[1]) for n in weights if n.startswith("blocks.")),
                num_attention_heads=model // head,
                mlp_ratio=len(weights["blocks.0.mlp.0.weight"]) / model,
                target_vocab_size=len(weights["embed.weight"]),
                min_sequence_length=1,
            )
        adapter.load_state_dict(weights, strict=True, assign=True)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = escape((str(error).splitlines() or [""])[0])
        raise BadCheckpoint(
            f"{checkpoint.label}: {prefix}* is no such adapter ({reason})"
        ) from error
    adapter.rotary_emb = type(adapter.rotary_emb)(head)  # its buffer is in no file
    return adapter.eval().requires_grad_(False)


def _device(name: str) -> str:
    """The device of a name; "auto": a GPU if there is one."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def read_elsewhere(
    checkpoint: Checkpoint,
    family: Family,
    names: Sequence[str],
    *,
    embeddings: Checkpoint | str | Path | TextEncoder | None = None,
    folder: str | Path | None = None,
    device: str = "cpu",
) -> TextEncoder | None:
    """An encoder that is not the checkpoint's own; None if that is what is asked for.

    names:      what stands for all that can be said, for a text encoder in a folder
    embeddings: of prompts, a file or open, or another encoder that is
    folder:     of a text encoder, or the pipeline it is part of
    device:     that the encoder of a folder computes on: "auto", "cpu", "cuda", ...
    Raises BadParam if both are given, or the family needs one and has none.
    """
    require_source(checkpoint, family, embeddings, folder)
    if isinstance(embeddings, TextEncoder):
        return embeddings
    if embeddings is not None:
        opened = embeddings if isinstance(embeddings, Checkpoint) else Checkpoint(embeddings)
        return table_of(opened, family.text_width)
    if folder is not None:
        return load_outside(checkpoint, family, Path(folder), names, device=device)
    return None


def require_source(
    checkpoint: Checkpoint, family: Family, embeddings: object, folder: object
) -> None:
    """Raises BadParam if both are given, or the family needs one and has none."""
    if embeddings is not None and folder is not None:
        raise BadParam("give --embeddings or --text-encoder, not both")
    if family.outside and embeddings is None and folder is None:
        parts = ", ".join(f"{name}/" for name in family.outside.folders)
        raise BadParam(
            f"{checkpoint.label}: {family.name} files hold no text encoder; give --text-encoder "
            f"FOLDER (with {parts}) or --embeddings FILE"
        )
