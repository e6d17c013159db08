#!/usr/bin/env bash
# What the tool does, on the embedded model: erase "Van Gogh", look at it, measure it.
#   recipes/demo.sh [FOLDER]     (default: demo/; needs `ckptedit` on the PATH; most of the time is the scoring)
set -euo pipefail
folder=${1:-demo}
mkdir -p "$folder" && cd "$folder"
concept="Van Gogh"

echo "== base.safetensors"
ckptedit demo -o base.safetensors --force
echo "== erase \"$concept\""
ckptedit erase base.safetensors --concept "$concept" -o edited.safetensors --force
echo "== drift: what moved, and nothing else"
ckptedit diff base.safetensors edited.safetensors || [ $? = 1 ]
echo "== before and after, from the same noise"
ckptedit sample base.safetensors "a cat in $concept style" "a castle in $concept style" \
  "a cat in Munch style" "a castle in Hokusai style" "a photo of a cat" \
  --against edited.safetensors --seeds 3 -o before-after.png --force
echo "== UA and RA"
ckptedit eval edited.safetensors
echo "pictures: $folder/before-after.png"
