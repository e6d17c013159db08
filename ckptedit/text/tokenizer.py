"""The tokenizer: from a folder or from the one file that everybody has, never from a hub."""

import gzip
from pathlib import Path
from typing import Any

from ckptedit.errors import BadParam

MERGES = 49_152 - 256 - 2  # CLIP's; open_clip's file holds many more, which are not used
HOW = (
    "a folder with tokenizer.json or with vocab.json and merges.txt (tokenizer/ of any diffusers "
    "model, ComfyUI's sd1_tokenizer/), or open_clip's bpe_simple_vocab_16e6.txt.gz"
)


def load_tokenizer(where: Path, *, pad_token: str | None = None) -> Any:
    """Loads a CLIP tokenizer.

    where:     a folder with tokenizer.json, or with vocab.json and merges.txt, or the gz file
    pad_token: for the gz file, which does not tell; None is the end-of-text token, SD2 uses "!"

    transformers 5 makes an empty folder into a tokenizer of two tokens without a word; that is
    refused here, and again by TextEncoder, which compares with the embedding's rows.
    """
    from transformers import CLIPTokenizer

    if where.is_dir():
        files = ("tokenizer.json",), ("vocab.json", "merges.txt")
        if not any(all((where / name).is_file() for name in names) for names in files):
            raise BadParam(f"no tokenizer in {where.name}/; give {HOW}")
        return CLIPTokenizer.from_pretrained(str(where), local_files_only=True)
    if not where.is_file():
        raise BadParam(f"there is no tokenizer {str(where)!r}; give {HOW}")
    merges: Any = _read_merges(where)
    pad = pad_token or "<|endoftext|>"
    return CLIPTokenizer(
        vocab=_vocabulary(merges), merges=merges, model_max_length=77, pad_token=pad
    )


def _read_merges(path: Path) -> list[tuple[str, str]]:
    """The byte pairs of open_clip's file, most frequent first."""
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadParam(f"{path.name} is not a tokenizer ({error}); give {HOW}") from None
    pairs = [tuple(line.split()) for line in lines[1 : MERGES + 1]]
    if len(pairs) < MERGES or any(len(pair) != 2 for pair in pairs):
        raise BadParam(f"{path.name} does not hold CLIP's {MERGES} merges; give {HOW}")
    return [(first, second) for first, second in pairs]


def _vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    """CLIP's token numbers: bytes, bytes that end a word, merges, begin and end of text."""
    alphabet = byte_alphabet()
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    tokens += [first + second for first, second in merges]
    return {token: i for i, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}


def byte_alphabet() -> list[str]:
    """A printable letter for each of the 256 bytes, in CLIP's order (GPT-2's byte-level BPE)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
