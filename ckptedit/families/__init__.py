"""What names mean: the families of checkpoints, and how each spells its weights. Needs no torch."""

from ckptedit.families.anima import ANIMA
from ckptedit.families.chroma import CHROMA
from ckptedit.families.detect import FAMILIES, Spelled, detect, spelled
from ckptedit.families.family import Blocks, Family, Matrix, Reader
from ckptedit.families.flux1 import FLUX1
from ckptedit.families.kv import KV, average_name, kv_role, kv_weights, lora_name
from ckptedit.families.ldm import to_ldm
from ckptedit.families.mini import MINI
from ckptedit.families.roles import Role, block_role, is_index
from ckptedit.families.sd1 import SD1
from ckptedit.families.sd2 import SD2
from ckptedit.families.sdxl import SDXL
from ckptedit.families.sdxl_refiner import SDXL_REFINER
from ckptedit.families.spelling import spelled_like
from ckptedit.families.stored import Source, blocks_of, sources

__all__ = [
    "ANIMA",
    "CHROMA",
    "FAMILIES",
    "FLUX1",
    "KV",
    "MINI",
    "SD1",
    "SD2",
    "SDXL",
    "SDXL_REFINER",
    "Blocks",
    "Family",
    "Matrix",
    "Reader",
    "Role",
    "Source",
    "Spelled",
    "average_name",
    "block_role",
    "blocks_of",
    "detect",
    "is_index",
    "kv_role",
    "kv_weights",
    "lora_name",
    "sources",
    "spelled",
    "spelled_like",
    "to_ldm",
]
