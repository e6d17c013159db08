"""The tokenizers of a diffusers folder: the user's files, copied, and what loaders want beside."""

import json
from pathlib import Path
from typing import Any

from ckptedit.conversion.pipeline import Config, as_file
from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.families import Family
from ckptedit.families.family import Reader
from ckptedit.families.vocabulary import ENOUGH, HOW, MAX_BYTES, find_vocabulary
from ckptedit.files import Checkpoint, escape
from ckptedit.files.bounded import read_bytes

CONFIG, SPECIAL, WHOLE = "tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"
WORDS, MERGES = ENOUGH[1]
COPIED = (WHOLE, WORDS, MERGES, CONFIG, SPECIAL, "added_tokens.json")
BEGIN, END = "<|startoftext|>", "<|endoftext|>"


def tokenizer_files(
    given: Path | None, checkpoint: Checkpoint, family: Family, configs: dict[str, Config]
) -> tuple[dict[str, bytes], list[str]]:
    """File in the folder -> content, for each text encoder; and which tokenizers are left out.

    given:   by the user: a folder of files, or of a pipeline with `tokenizer/` in it, or a file;
             None: what `find_vocabulary` finds
    configs: the folder's, which tell how many words there are
    Raises BadParam if what is given is no tokenizer, or not that of this text encoder.
    """
    found: dict[str, bytes] = {}
    left_out = []
    for reader in family.readers:
        name = reader.component.replace("text_encoder", "tokenizer")
        config = configs.get(f"{reader.component}/config.json")
        if config is None:
            continue
        if (where := given or _unnamed(checkpoint, family)) is None:
            left_out.append(name)
            continue
        place = next((p for p in (where / name, where / "tokenizer", where) if _holds(p)), where)
        found |= {f"{name}/{file}": content for file, content in _files(place, reader, config)}
    return found, left_out


def _unnamed(checkpoint: Checkpoint, family: Family) -> Path | None:
    try:
        return find_vocabulary(checkpoint, family).where
    except BadParam:
        return None


def _holds(folder: Path) -> bool:
    return any(all((folder / file).is_file() for file in files) for files in ENOUGH)


def _files(where: Path, reader: Reader, config: Config) -> list[tuple[str, bytes]]:
    """Name and content of each file of a tokenizer, with the token that fills up prompts here."""
    try:
        files = _contents(where)
        _require_size(files, where, config["vocab_size"])
        said = _parsed(files.get(CONFIG, b"{}"), where)
        special = _parsed(files.get(SPECIAL, b"{}"), where)
    except BadCheckpoint as error:
        raise BadParam(f"{error}; give {HOW}") from error
    wanted = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": config["max_position_embeddings"],
        "bos_token": BEGIN,
        "eos_token": END,
        "unk_token": END,
    }
    pad = reader.pad or END
    if not wanted.keys() <= said.keys() or said.get("pad_token") != pad:
        files[CONFIG] = as_file(wanted | said | {"pad_token": pad})
    if "pad_token" in special and _text(special["pad_token"]) != pad:
        files[SPECIAL] = as_file(special | {"pad_token": pad})
    return list(files.items())


def _contents(where: Path) -> dict[str, bytes]:
    """The files of a tokenizer by name; of open_clip's packed one, those that it would be."""
    if where.suffix == ".gz":
        from ckptedit.text.tokenizer import words_and_merges

        words, pairs = words_and_merges(where)
        lines = ["#version: 0.2", *(" ".join(pair) for pair in pairs)]
        return {WORDS: json.dumps(words).encode(), MERGES: ("\n".join(lines) + "\n").encode()}
    names = [where] if where.name == WHOLE else [where / name for name in COPIED]
    files = {path.name: read_bytes(path, MAX_BYTES) for path in names if path.is_file()}
    if not any(files.keys() >= set(enough) for enough in ENOUGH):
        raise BadCheckpoint(f"no tokenizer in {escape(where)}")
    return files


def _text(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) else token


def _parsed(text: bytes, where: Path) -> Config:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadCheckpoint(f"{escape(where)}: not JSON ({escape(error)})") from error
    if not isinstance(found, dict):
        raise BadCheckpoint(f"{escape(where)}: not a table")
    return found


def _require_size(files: dict[str, bytes], where: Path, rows: int) -> None:
    """Raises BadCheckpoint if the words are not as many as the rows of the embedding."""
    if WHOLE in files:
        whole = _parsed(files[WHOLE], where)
        model, added = whole.get("model"), whole.get("added_tokens", [])
        words = set(model.get("vocab", ())) if isinstance(model, dict) else set()
        words |= {each.get("content") for each in added if isinstance(each, dict)}
    else:
        words = set(_parsed(files[WORDS], where))
    if len(words) != rows:
        raise BadCheckpoint(
            f"{escape(where)} is the tokenizer of {len(words)} words; the text encoder has {rows}"
        )
