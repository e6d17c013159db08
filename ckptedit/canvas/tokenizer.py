"""mini's tokenizer: CLIP's byte-level BPE with a vocabulary of its own.

Learned from the words of all captions and of common prompts, so that those words are one token each
and anything else falls apart into pieces, as with CLIP.
"""

import json
import re
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from ckptedit.canvas import captions
from ckptedit.canvas.draw import OBJECTS, PHOTO, STYLES

LENGTH = 24  # tokens of a prompt, with the start and the end
VOCABULARY = 1900
START, END = "<|startoftext|>", "<|endoftext|>"

COMMON = """
with without and or of on at to from for is are one two three four many some no not very best
red orange yellow green blue purple pink black white grey brown gold silver bright dark light soft
colorful pale warm cold new old young happy sad quiet wild cute simple detailed high quality sharp
animal bird bear horse cow sheep lion tiger wolf fox mouse duck frog snake turtle whale shark bee
man woman child girl boy person people king queen face hand eye portrait city street road bridge
mountain river lake sea ocean beach forest garden field sky sun cloud rain snow night day sunset
apple bread cake food fruit water fire stone wood metal glass paper book lamp chair table door
window clock shoe hat bag ball toy train plane bus bike ship rocket robot dragon sword shield
photo photograph picture image painting artwork drawing sketch print poster art artist style
view scene background landscape still life abstract modern classic ancient realistic cartoon comic
oil watercolor pencil pastel acrylic digital render impressionism expressionism cubism surrealism
minimalism baroque renaissance gothic romantic folk street graffiti manga anime warhol dali klimt
matisse renoir degas cezanne rembrandt vermeer turner goya miro klee magritte
""".split()  # noqa: SIM905


def corpus() -> list[str]:
    """Every word that should be one token."""
    frames = (
        captions.BOTH + captions.PLAIN + captions.ANY_STYLE + captions.FAMILY + captions.STYLE_ONLY
    )
    phrases = [*frames, *STYLES, PHOTO, *OBJECTS, *captions.FAMILY_WORDS.values(), "something"]
    phrases += [word for words in captions.SIZES.values() for word in words]
    phrases += [word for words in captions.PLACES.values() for word in words]
    words = re.findall(r"[a-z]+", re.sub(r"\{\w\}", " ", " ".join(phrases)).lower())
    return sorted(set(words)) * 8 + sorted(set(COMMON))


def learn(folder: Path) -> None:
    """Writes vocab.json, merges.txt, tokenizer.json and tokenizer_config.json."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ends = [letter + "</w>" for letter in alphabet]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2,
        min_frequency=1,
        end_of_word_suffix="</w>",
        initial_alphabet=alphabet,
        special_tokens=ends,  # numbered here: the trainer would number them in random order
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    learned = json.loads(tokenizer.to_str())["model"]["merges"]
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in learned]
    tokens = alphabet + ends
    tokens += ["".join(pair) for pair in merges] + [START, END]
    _save(folder, {token: i for i, token in enumerate(dict.fromkeys(tokens))}, merges)


def _save(folder: Path, vocabulary: dict[str, int], merges: list[tuple[str, ...]]) -> None:
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    made = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)  # type: ignore[arg-type]
    made.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
