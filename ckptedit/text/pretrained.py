"""Models and tokenizers of transformers from a folder of the user's, and from nowhere else."""

from pathlib import Path
from typing import Any

from ckptedit.errors import BadParam, CkptError
from ckptedit.files import Checkpoint, escape
from ckptedit.files.cache import digest

TRIED = "a cat"  # what any tokenizer has tokens for


def component(folder: Path, name: str) -> Path:
    """A component of a pipeline's folder; the folder itself if it is not in parts."""
    if (folder / name).is_dir():
        return folder / name
    if not folder.is_dir():
        raise BadParam(f"--text-encoder {escape(folder)} is no folder")
    if (folder / "config.json").exists():
        return folder
    raise BadParam(
        f"--text-encoder {escape(folder)} has no {name}/, and is no model's folder itself"
    )


def loaded(kind: str, folder: Path) -> Any:
    """A model or tokenizer of transformers, from this folder and nowhere else."""
    import transformers

    log = transformers.utils.logging
    log.disable_progress_bar()  # it would write through ours
    loud = log.get_verbosity()
    log.set_verbosity_error()  # what it warns of is refused below, in one line
    named = {"local_files_only": True, "trust_remote_code": False}
    missing: Any = ()
    try:
        if kind == "AutoTokenizer":
            return _tried(transformers.AutoTokenizer.from_pretrained(folder, **named), folder)
        model, report = getattr(transformers, kind).from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **named
        )
        missing = report["missing_keys"]
    except CkptError:
        raise
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # whatever a stranger's folder makes of it
        reason = escape((str(error).splitlines() or [""])[0])
        raise BadParam(f"{escape(folder)} holds no {kind} ({reason})") from error
    finally:
        log.set_verbosity(loud)
    if missing:  # transformers fills them with noise
        raise BadParam(f"{escape(folder)} lacks {len(missing)} weights, such as {min(missing)}")
    return model.eval().requires_grad_(False)


def _tried(tokenizer: Any, folder: Path) -> Any:
    """A tokenizer that knows words; transformers makes an empty one of an empty folder."""
    ids = tokenizer(TRIED, add_special_tokens=False).input_ids
    if not ids or set(ids) <= {tokenizer.unk_token_id}:
        raise BadParam(f"{escape(folder)} holds no tokenizer: it has no token for {TRIED!r}")
    return tokenizer


def digest_of(folder: Path) -> str:
    """Of the weights, and of whatever else a folder's model or tokenizer is made from."""
    parts: list[str | bytes] = []
    for file in sorted(path for path in folder.iterdir() if path.is_file()):
        weights = file.suffix == ".safetensors"
        parts += [file.name, Checkpoint(file).data_sha256() if weights else file.read_bytes()]
    return digest(parts)
