"""Where in a model a tensor sits, told from its name alone, for tables and heat maps."""

import re
from typing import NamedTuple


class Role(NamedTuple):
    """A place in a model.

    block:     "IN04", "M00", "OUT11" in a UNet (the 25-block scheme of merge tools), "TIME";
               "ENC1", "DECM" in a VAE, "T07" in a text encoder, "L12" elsewhere; "EMB", "HEAD"
    role:      "k", "v", "q", "out" of the attention that reads text, or of a model's only one, and
               "self.k" where there are both; "qkv", "ff", "norm", "conv", "proj", "time", "embed",
               "head", "other"
    component: "unet", "vae", "text", "text2", "model"
    """

    block: str
    role: str
    component: str


COMPONENTS = (
    ("model.diffusion_model.", "unet"),
    ("unet.", "unet"),
    ("first_stage_model.", "vae"),
    ("vae.", "vae"),
    ("conditioner.embedders.1.", "text2"),
    ("text_encoder_2.", "text2"),
    ("conditioner.embedders.", "text"),
    ("text_encoder.", "text"),
    ("text_model.", "text"),
    ("cond_stage_model.", "text"),
    ("transformer_blocks.", "model"),
    ("input_blocks.", "unet"),
    ("output_blocks.", "unet"),
    ("middle_block.", "unet"),
    ("down_blocks.", "unet"),
    ("up_blocks.", "unet"),
    ("mid_block.", "unet"),
    ("time_embed", "unet"),
    ("encoder.down", "vae"),
    ("decoder.up", "vae"),
    ("encoder.mid", "vae"),
    ("decoder.mid", "vae"),
)

ATTENTION = r"\b(?:self_attn|cross_attn|attention|attn\w*|attentions\.[0-9]{1,4})"

ROLES = (  # the first that fits wins; before the pattern, what a name must hold for it to be tried
    ("attn1.to_", r"\battn1\.to_([qkv])\b", r"self.\1"),
    ("attn1.to_", r"\battn1\.to_out\b", "self.out"),
    ("blocks.", r"\bblocks\.[0-9]{1,4}\.self_attn\.([qkv])(?:_proj)?\b", r"self.\1"),
    ("blocks.", r"\bblocks\.[0-9]{1,4}\.self_attn\.o(?:ut(?:put)?)?(?:_proj)?\b", "self.out"),
    ("att", rf"{ATTENTION}\.(?:to_)?([qkv])(?:_proj)?\b", r"\1"),
    ("query", rf"{ATTENTION}\.(?:self\.)?(q)uery\b", r"\1"),
    ("key", rf"{ATTENTION}\.(?:self\.)?(k)ey\b", r"\1"),
    ("value", rf"{ATTENTION}\.(?:self\.)?(v)alue\b", r"\1"),
    ("add_", rf"{ATTENTION}\.(?:add_([qkv])_proj)\b", r"\1"),
    ("", r"\b(?:qkv|in_proj\w*|c_attn|query_key_value)\b", "qkv"),
    ("att", rf"{ATTENTION}\.(?:\w+\.)?(?:to_out|out_proj|o_proj|proj|proj_attn|dense)\b", "out"),
    ("attn_1", r"\battn_1\.proj_out\b", "out"),
    ("", r"\b(?:ff|mlp|fc[12]|feed_forward|block_sparse_moe)\b", "ff"),
    ("", r"norm|\bln_|\b(?:in_layers|out_layers|out)\.0\b", "norm"),
    ("", r"\b(?:time_emb\w*|emb_layers|label_emb|add_embedding)\b", "time"),
    ("proj_", r"\b(?:proj_in|proj_out)\b", "proj"),
    ("", r"conv|\bin_layers\.2\b|\bout_layers\.3\b|\bout\.2\b|\binput_blocks\.0\.0\b", "conv"),
    ("", r"\b(?:skip_connection|nin_shortcut|op)\b", "conv"),
    ("", r"embed|\bwte\b|\bwpe\b", "embed"),
    ("", r"\blm_head\b", "head"),
)

INDICES = ("position_ids", "token_type_ids", "relative_position_index", "num_batches_tracked")

STACKS = (  # numbered layers of other models: what precedes the number, the block's letter
    (r"\b(?:llm_adapter|text_conditioner)\.blocks\.([0-9]{1,4})\.", "T"),
    (r"\bdouble_blocks\.([0-9]{1,4})\.", "D"),
    (r"\bsingle_(?:transformer_)?blocks\.([0-9]{1,4})\.", "S"),
    (r"\bjoint_blocks\.([0-9]{1,4})\.", "J"),
    (r"\b(?:layers?|h|blocks?|transformer_blocks)\.([0-9]{1,4})\.", "L"),
)


def is_index(name: str) -> bool:
    """Whether a tensor holds indices or counts, which some files store as floats.

    Half of one and half of another is no index: they are copied, never computed with.
    """
    return name.endswith(INDICES)


def block_role(name: str, *, layers: int = 2) -> Role:
    """Tells block, role and component from a tensor's name, in LDM, diffusers or LLM spelling.

    layers: residual blocks per level of the UNet (2 in every published Stable Diffusion); the block
            scheme counts by it, and diffusers' names do not say it
    """
    found = next(((p, kind) for p, kind in COMPONENTS if name.startswith(p)), ("", "model"))
    component = found[1]
    if component == "unet":
        block = _unet_block(name, layers + 1) or _numbered(name, STACKS)
    elif component == "vae":
        block = _vae_block(name)
    elif component in ("text", "text2"):
        block = _numbered(name, ((r"\b(?:layers|resblocks)\.([0-9]{1,4})\.", "T"),))
    else:
        block = _numbered(name, STACKS)
    return Role(block, _role(name), component)


def _role(name: str) -> str:
    for part, pattern, role in ROLES:
        if part in name and (match := re.search(pattern, name)):
            return match.expand(role)
    return "other"


def _unet_block(name: str, stride: int) -> str:
    if match := re.search(r"\binput_blocks\.([0-9]{1,4})\.", name):
        return f"IN{int(match[1]):02d}"
    if match := re.search(r"\boutput_blocks\.([0-9]{1,4})\.", name):
        return f"OUT{int(match[1]):02d}"
    if re.search(r"\b(?:middle_block|mid_block)\.", name):
        return "M00"
    if match := re.search(
        r"\bdown_blocks\.([0-9]{1,4})\.(?:resnets|attentions)\.([0-9]{1,4})\.", name
    ):
        return f"IN{stride * int(match[1]) + int(match[2]) + 1:02d}"
    if match := re.search(r"\bdown_blocks\.([0-9]{1,4})\.downsamplers\.", name):
        return f"IN{stride * int(match[1]) + stride:02d}"
    if match := re.search(
        r"\bup_blocks\.([0-9]{1,4})\.(?:resnets|attentions)\.([0-9]{1,4})\.", name
    ):
        return f"OUT{stride * int(match[1]) + int(match[2]):02d}"
    if match := re.search(r"\bup_blocks\.([0-9]{1,4})\.upsamplers\.", name):
        return f"OUT{stride * int(match[1]) + stride - 1:02d}"
    if "conv_in." in name:
        return "IN00"
    if re.search(r"\b(?:time_emb|label_emb|add_embedding)", name):
        return "TIME"
    return "END" if re.search(r"\b(?:out|conv_out|conv_norm_out)\.", name) else ""


def _vae_block(name: str) -> str:
    half = "DEC" if "decoder." in name or "post_quant" in name else "ENC"
    if match := re.search(r"\b(?:down|up|down_blocks|up_blocks)\.([0-9]{1,4})\.", name):
        return f"{half}{match[1]}"
    return f"{half}M" if re.search(r"\bmid(?:_block)?\.", name) else half


def _numbered(name: str, stacks: tuple[tuple[str, str], ...]) -> str:
    for pattern, letter in stacks:
        if match := re.search(pattern, name):
            return f"{letter}{int(match[1]):02d}"
    if re.search(r"embed|\bwte\b|\bwpe\b|\b(?:txt|img|vector|time|guidance)_in\b", name):
        return "EMB"
    return "HEAD" if "lm_head" in name else "END"
