"""The tokenizer: from a folder or from the one file that everybody has, never from a hub."""

import gzip
import json
import os
import zlib
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.families.vocabulary import ENOUGH, HOW, MAX_BYTES
from ckptedit.files import escape
from ckptedit.files.bounded import read_bytes, read_json, read_text
from ckptedit.files.cache import digest

MERGES = 49_152 - 256 - 2  # CLIP's; open_clip's file holds many more, which are not used
READ = (
    "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
TRIED = "a cat"  # a prompt that any CLIP tokenizer makes tokens of


def load_tokenizer(where: Path) -> Any:
    """Loads a CLIP tokenizer.

    where: a folder with tokenizer.json, or with vocab.json and merges.txt, or the gz file

    A folder is text from strangers, and transformers raises whatever comes to it, or makes an empty
    folder into a tokenizer of two tokens without a word. So it is shown copies of files that were
    looked at, and what comes out is tried on a prompt. Raises BadParam.
    """
    try:
        if where.is_dir():
            return _checked(_from_folder(where))
        if not where.exists():
            raise BadParam(f"there is no tokenizer {escape(where)}; give {HOW}")
        return _from_gz(where)
    except (BadCheckpoint, OSError) as error:
        raise BadParam(f"{error}; give {HOW}") from error


def words_digest(tokenizer: Any) -> str:
    """sha256 of a tokenizer's tokens and their numbers. Hex."""
    return digest([str(sorted(tokenizer.get_vocab().items()))])


def _from_folder(where: Path) -> Any:
    from transformers import CLIPTokenizer

    label = f"{escape(where.name)}/"
    if not any(all((where / name).is_file() for name in names) for names in ENOUGH):
        raise BadParam(f"no tokenizer in {label}; give {HOW}")
    with TemporaryDirectory(prefix="ckptedit-") as copies:
        for name in filter(lambda name: os.path.lexists(where / name), READ):
            (Path(copies) / name).write_bytes(_harmless(where / name))
        try:
            return CLIPTokenizer.from_pretrained(copies, local_files_only=True)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # bare Exception, or a panic of the compiled part
            reason = escape((str(error).splitlines() or [""])[0])
            kind = type(error).__name__
            raise BadCheckpoint(f"{label} holds no CLIP tokenizer ({kind}: {reason})") from error


def _harmless(path: Path) -> bytes:
    """The file again, if it is small and what its name says."""
    if path.suffix != ".json":
        return read_text(path, MAX_BYTES).encode()
    return json.dumps(read_json(path, MAX_BYTES)).encode()


def _checked(tokenizer: Any) -> Any:
    """A tokenizer whose numbers can be rows of an embedding, and whose prompts have both ends."""
    ids = set(tokenizer.get_vocab().values())
    ends = [getattr(tokenizer, f"{end}_token_id") for end in ("bos", "eos", "pad")]
    longest = tokenizer.model_max_length
    if ids != set(range(len(tokenizer))) or not ids.issuperset(ends):
        raise BadCheckpoint(f"the numbers of its tokens are not those from 0 to {len(ids) - 1}")
    if isinstance(longest, bool) or not isinstance(longest, int | float) or not longest > 2:
        raise BadCheckpoint(f"its model_max_length is {escape(longest)}, no number above 2")
    if word := _unmade(tokenizer):
        raise BadCheckpoint(f"its merges do not make its token {escape(word)}: are they cut short?")
    row = tokenizer(TRIED, verbose=False).input_ids
    inner = tokenizer(TRIED, add_special_tokens=False, verbose=False).input_ids
    if row != [ends[0], *inner, ends[1]] or not inner:
        raise BadCheckpoint("it does not put begin and end of text around a prompt")
    return tokenizer


def _unmade(tokenizer: Any) -> str | None:
    """A token of more than a letter that no two others make, if there is one; no prompt has it."""
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    made = {"".join(pair) for pair in model["merges"]} | set(tokenizer.all_special_tokens)
    return next(
        (t for t in model["vocab"] if len(t.removesuffix("</w>")) > 1 and t not in made), None
    )


def _from_gz(where: Path) -> Any:
    from transformers import CLIPTokenizer

    words, merges = words_and_merges(where)
    pairs: Any = merges
    return CLIPTokenizer(vocab=words, merges=pairs, model_max_length=77)


def words_and_merges(where: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The tokens and byte pairs of open_clip's file. Raises BadCheckpoint if it is none."""
    merges = _read_merges(where)
    return _vocabulary(merges), merges


def _read_merges(path: Path) -> list[tuple[str, str]]:
    """The byte pairs of open_clip's file, most frequent first."""
    label = escape(path.name)
    try:
        with gzip.open(BytesIO(read_bytes(path, MAX_BYTES))) as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise BadCheckpoint(f"{label} is not a tokenizer (more than {MAX_BYTES} bytes)")
        lines = text.decode("utf-8").split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BadCheckpoint(f"{label} is not a tokenizer ({escape(error)})") from None
    pairs = [tuple(line.split()) for line in lines[1 : MERGES + 1]]
    if len(pairs) < MERGES or any(len(pair) != 2 for pair in pairs):
        raise BadCheckpoint(f"{label} does not hold CLIP's {MERGES} merges")
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
