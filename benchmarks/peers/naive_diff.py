"""What most people write: load both files with torch, print each tensor's L2 and relative L2."""

import sys

from safetensors.torch import load_file

old, new = load_file(sys.argv[1]), load_file(sys.argv[2])
total = 0.0
for name, before in old.items():
    before, after = before.float(), new[name].float()
    l2 = (after - before).norm().item()
    print(name, l2, l2 / before.norm().item())
    total += l2**2
print("total", total**0.5)
