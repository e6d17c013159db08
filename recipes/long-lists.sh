#!/usr/bin/env bash
# Beyond twelve requests, by the default: 23 of 24 styles, 24 styles and 12 objects in one list, and a
# hundred requests over single names, pairs and phrases; of these the sixty single names alone.
#   recipes/long-lists.sh [FOLDER]         (default: runs/long-lists)
# A quarter of an hour on one core; goes on where it was stopped. Figures: recipes/long-lists/*.jsonl.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/long-lists
folder=${1:-runs/long-lists}
mkdir -p "$folder"
base=$folder/base.safetensors
[ -e "$base" ] || ckptedit demo "$base"

met() {  # LIST WHEN
  ckptedit continual "$base" "$here/$1.toml" -o "$folder/$1" --strategy recomputed --eval-at "$2" > "$folder/$1.txt"
  python "$here/../long_lists.py" keep "$folder/$1/results.jsonl" "$1"
}

met styles-23 1,6,12,18,23
met both-36 1,6,12,18,24,30,36
met sixty 1,2
met hundred 1,10,20,30,40,50,60,70,80,90,100
python "$here/../long_lists.py" table
python "$here/../long_lists.py" draw "$folder/long-lists.png"
