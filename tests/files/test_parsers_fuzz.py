"""Whatever is in a file: a checkpoint or one CkptError, and little more memory than its text."""

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ckptedit.errors import BadCheckpoint, CkptError
from ckptedit.families import block_role, detect, is_index, kv_weights
from ckptedit.families.spelling import spelled_like, vae_sizes
from ckptedit.files import Checkpoint, Spec, header, parse_header
from ckptedit.files.header import MAX_HEADER
from ckptedit.files.layout import SHARD
from tests.files.conftest import raw_file
from tests.files.test_layout import INDEX, save

LONG = "9" * 5000  # digits: int() refuses more than 4300
odd = st.sampled_from([LONG, "٣", "-1", "1e999", "NaN", "0.5", '"\\ud800"', "[" * 2000, "{" * 2000])
json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
).map(json.dumps)
texts = (json_texts | odd).map(str.encode) | st.binary(max_size=60)


def opened(path: Path) -> None:
    try:
        Checkpoint(path).close()
    except CkptError as error:
        assert str(error).isprintable() and len(str(error)) < 2000


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder of one component, and a sharded set."""
    root = tmp_path_factory.mktemp("fuzz")
    save(root / "unet/diffusion_pytorch_model.safetensors", a=1)
    save(root / "set/model-00001-of-00001.safetensors", a=1)
    (root / "prior").mkdir()
    (root / "prior/model.bin").touch()
    return root


@settings(max_examples=150)
@given(text=texts, frame=st.sampled_from(["%s", '{"weight_map": %s}', '{"weight_map": {"a": %s}}',
                                          '{"metadata": {"total_size": %s}, "weight_map": {"a": '
                                          '"model-00001-of-00001.safetensors"}}']))  # fmt: skip
@example(text=LONG.encode(), frame='{"metadata": {"total_size": %s}}')
def test_any_index_gives_a_checkpoint_or_one_error(place, text, frame):
    before, after = frame.split("%s")
    (place / "set" / INDEX).write_bytes(before.encode() + text + after.encode())
    opened(place / "set")


@settings(max_examples=100)
@given(text=texts, frame=st.sampled_from(["%s", '{"prior": %s}']))
def test_any_model_index_gives_a_checkpoint_or_one_error(place, text, frame):
    before, after = frame.split("%s")
    (place / "model_index.json").write_bytes(before.encode() + text + after.encode())
    opened(place)


@settings(max_examples=100)
@given(text=texts, frame=st.sampled_from(["%s", '{"a": %s}', '{"a": {"dtype": %s, "shape": [], '
                                          '"data_offsets": [0, 0]}}', '{"a": {"dtype": "U8", '
                                          '"shape": [%s], "data_offsets": [0, 1]}}']))  # fmt: skip
@example(text=b'"' + b"x" * 1_000_000 + b'"', frame='{"a": {"dtype": %s, "shape": [], '
         '"data_offsets": [0, 0]}}')  # fmt: skip
@example(text=b'"\\u001b[2J\\n"', frame='{"a": {"dtype": %s, "shape": [], "data_offsets": [0, 0]}}')
def test_any_header_gives_a_checkpoint_or_one_error(place, text, frame):
    before, after = frame.split("%s")
    (place / "file").write_bytes(raw_file(before.encode() + text + after.encode(), b"x"))
    opened(place / "file")


def test_a_header_nested_to_any_depth_is_one_error():
    """Also where it can still be parsed, and is shown."""
    for depth in range(300, 1000):
        value = "[" * depth + "]" * depth
        text = f'{{"a":{{"dtype":{value},"shape":[],"data_offsets":[0,0]}}}}'
        with pytest.raises(BadCheckpoint):
            parse_header(text.encode(), 0)


FRAGMENTS = ["model.diffusion_model.", "input_blocks.", "output_blocks.", "down_blocks.", "unet.",
             "up_blocks.", "attentions.", "transformer_blocks.", "attn2.to_k.weight", "resblocks.",
             "encoder.", "down.", "block.", "layers.", "vae.", "first_stage_model.", "text_model.",
             "cond_stage_model.", "model.transformer.", "in_proj_weight", "attn.", "text_encoder.",
             "1.", "0.", "99999.", f"{LONG}.", "٣.", "\x1b[2J", "\n"]  # fmt: skip
names = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=8).map("".join)
shapes = st.lists(st.sampled_from([0, 1, 3, 320, 768, 1280]), max_size=4).map(tuple)


@settings(max_examples=200)
@given(found=st.dictionaries(names, shapes, max_size=6))
@example(found={"model.diffusion_model.down_blocks.attn2.to_k.weight": ()})
@example(found={f"vae.encoder.down_blocks.{LONG}.resnets.0.": (1,)})
@example(found={"model.diffusion_model.\x1b[2J.attn2.to_k.weight": (3, 3)})
def test_any_names_have_a_place_and_a_family_or_one_error(found):
    tensors = {name: Spec(name, "F16", shape) for name, shape in found.items()}
    marker = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    tensors[marker] = Spec(marker, "F16", (320, 768))
    for name in tensors:
        assert len(block_role(name).block) < 12
        is_index(name)
    assert max(vae_sizes(tensors)) < 16
    try:
        kv_weights(tensors, detect(tensors))
        spelled_like(tensors, {"unet.down_blocks.0.attentions.0": Spec("x", "F16", ())})
    except CkptError as error:
        assert str(error).isprintable()


def test_numbers_are_read_out_of_ascii_digits_only():
    assert block_role("model.diffusion_model.input_blocks.٣.0.op.weight").block == "END"
    assert block_role(f"model.diffusion_model.input_blocks.{LONG}.0.op.weight").block == "END"
    assert not SHARD.search("model-٠٠٠٠١-of-00002.safetensors")


@pytest.mark.parametrize("unit", [b"[],", b'{"":0},', b"[[[", b'"",'])
def test_a_hostile_header_takes_little_memory(unit):
    """100 MB of `[[],[],...` took 2.6 GB."""
    text = b'{"a":[' + unit * (MAX_HEADER // 4 // len(unit))
    tracemalloc.start()
    try:
        with pytest.raises(BadCheckpoint):
            parse_header(text, 0)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


def test_the_largest_header_that_may_be_parsed_is_bounded(monkeypatch):
    """Just under the limit on commas and brackets: 200 bytes for each of them, and its text."""
    monkeypatch.setattr(header, "MAX_ITEMS", 120_000)
    text = b'{"a":[' + b'{"":[]},' * 39_990 + b"0]}"
    tracemalloc.start()
    try:
        with pytest.raises(BadCheckpoint):
            parse_header(text, 0)
        assert tracemalloc.get_traced_memory()[1] < 24_000_000
    finally:
        tracemalloc.stop()
