"""What names mean: the families of checkpoints, and how each spells its weights. Needs no torch."""

from ckptedit.families.detect import FAMILIES, Spelled, detect, spelled
from ckptedit.families.family import Blocks, Family
from ckptedit.families.kv import KV, average_name, kv_weights, lora_name
from ckptedit.families.ldm import to_ldm
from ckptedit.families.mini import MINI
from ckptedit.families.roles import Role, block_role, is_index
from ckptedit.families.sd1 import SD1
from ckptedit.families.sd2 import SD2
from ckptedit.families.sdxl import SDXL
from ckptedit.families.spelling import spelled_like
from ckptedit.families.stored import Source, blocks_of, sources

__all__ = [
    "FAMILIES",
    "KV",
    "MINI",
    "SD1",
    "SD2",
    "SDXL",
    "Blocks",
    "Family",
    "Role",
    "Source",
    "Spelled",
    "average_name",
    "block_role",
    "blocks_of",
    "detect",
    "is_index",
    "kv_weights",
    "lora_name",
    "sources",
    "spelled",
    "spelled_like",
    "to_ldm",
]
