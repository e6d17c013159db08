#!/usr/bin/env bash
# The study of continual unlearning on mini: twelve styles and twelve objects, one after another, met
# in every way of recipes/paper-table.toml, and scored after each.
#   recipes/paper-table.sh [FOLDER] [ORDERS]
# Hours on two cores; goes on where it was stopped. What is measured stands in
# recipes/paper-table.jsonl, and is not measured again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-runs/paper-table}
python "$here/paper_table.py" --folder "$folder" --orders "${2:-3}"
python "$here/ties_grid.py" measure --folder "$folder"
for part in table told "compare gradproj gradproj-published"; do
  python "$here/paper_figures.py" $part
done
python "$here/paper_figures.py" curves "$folder/"
python "$here/ties_grid.py" draw "$folder/ties.png"
for picture in similarity grid blocks; do
  python "$here/paper_pictures.py" "$picture" "$folder/" --folder "$folder"
done
