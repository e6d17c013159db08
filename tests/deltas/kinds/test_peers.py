"""Every kind of change against lycoris-lora itself, where it is installed: pip install '.[peers]'.

What is read is what the package's own modules save; what must come out is what they do to a layer.
"""

import numpy as np
import pytest

from deltas.kinds.conftest import weights

lycoris = pytest.importorskip("lycoris.modules")
torch = pytest.importorskip("torch")

KINDS = {
    "lora": (lycoris.LoConModule, {}),
    "loha": (lycoris.LohaModule, {}),
    "lokr": (lycoris.LokrModule, {"factor": 2}),
    "lokr, both factors of low rank": (lycoris.LokrModule, {"factor": 6, "decompose_both": True}),
    "lokr, both full": (lycoris.LokrModule, {"factor": 2, "full_matrix": True}),
}
DORA = {"none": {}, "rows": {"weight_decompose": True},
        "columns": {"weight_decompose": True, "wd_on_out": False}}  # fmt: skip


def layer(name):
    """A layer of torch with a weight of the base, in float64."""
    weight = torch.tensor(weights()[f"{name}.weight"])
    out, size, *window = weight.shape
    module = torch.nn.Conv2d(size, out, window[0]) if window else torch.nn.Linear(size, out)
    module = module.double()
    module.weight.data.copy_(weight)
    return module.requires_grad_(False)


def module_of(kind, base, **options):
    """A module of lycoris over a layer, filled with random numbers."""
    torch.manual_seed(3)
    cls, more = KINDS[kind]
    module = cls("m", base, lora_dim=2, alpha=0.7, **more | options).double()
    for name, parameter in module.named_parameters():
        if "dora_scale" not in name and not name.startswith("org_module"):
            parameter.data.normal_(0, 0.3)
    return module


def done_to(base, module):
    """The weight with which the layer works now: what it makes of unit vectors."""
    module.apply_to()
    size, window = base.weight.shape[1], base.weight.shape[2:]
    units = torch.eye(size * window.numel(), dtype=torch.float64)
    if window:
        units = units.reshape(-1, size, *window)
    with torch.no_grad():
        answers = base(units).reshape(len(units), -1) - base.bias
    return answers.T.reshape(base.weight.shape).numpy()


@pytest.mark.parametrize("dora", DORA)
@pytest.mark.parametrize("weight", ["linear", "conv", "point", "even"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_lycoris_does_here_what_its_module_does_there(changed, kind, weight, dora):
    base = layer(weight)
    module = module_of(kind, base, **DORA[dora])
    saved = {f"{weight}.{k}": v.detach().double().numpy()
             for k, v in module.custom_state_dict().items()}  # fmt: skip
    found = weights()[f"{weight}.weight"] + changed(saved)[f"{weight}.weight"]
    np.testing.assert_allclose(found, done_to(base, module), atol=1e-6)


@pytest.mark.parametrize("kind", ["lora", "loha", "lokr"])
def test_a_core_for_convolutions_does_as_well(changed, kind):
    base = layer("conv")
    module = module_of(kind, base, use_tucker=True, factor=1)
    saved = {f"conv.{k}": v.detach().double().numpy()
             for k, v in module.custom_state_dict().items()}  # fmt: skip
    assert any("mid" in key or "_t2" in key for key in saved)
    found = weights()["conv.weight"] + changed(saved)["conv.weight"]
    np.testing.assert_allclose(found, done_to(base, module), atol=1e-6)
