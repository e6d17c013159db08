"""Words to vectors: the tokenizer and the text encoder that a UNet reads."""

from ckptedit.text.clip import ClipEncoder
from ckptedit.text.condition import Condition
from ckptedit.text.encoder import Encoded, TextEncoder
from ckptedit.text.load import load_text_encoder
from ckptedit.text.tokens import token_embeddings

__all__ = [
    "ClipEncoder",
    "Condition",
    "Encoded",
    "TextEncoder",
    "load_text_encoder",
    "token_embeddings",
]
