#!/usr/bin/env bash
# Three requests, one after another, and the drift of the keys and values from the base after each.
#   recipes/three-styles.sh [FOLDER]         (default: demo/)
set -euo pipefail
mkdir -p "${1:-demo}" && cd "${1:-demo}"
[ -e base.safetensors ] || ckptedit demo
current=base.safetensors
for concept in "Van Gogh" Hokusai Neon; do
  current=$(ckptedit erase "$current" --concept "$concept" --quiet --force -o "without-${concept// /-}.safetensors")
  ckptedit diff base.safetensors "$current" --keys '**.attn2.to_[kv].weight' --json > drift.json || [ $? = 1 ]
  python -c 'import json, sys; print(sys.argv[1], "drift", round(json.load(open("drift.json"))["total"]["relative"], 3))' "$current"
done
