#!/usr/bin/env bash
# Makes the embedded model again from nothing: draws the pictures, trains the judge, the VAE, the
# text encoder and the UNet, and writes mini, the judge and the CLIP towers into the package.
#   recipes/train-mini.sh [FOLDER] [DEVICE]      (default: runs/mini cpu)
# Every stage saves itself once a minute and goes on where it was stopped.
set -euo pipefail
export OMP_WAIT_POLICY=passive
exec ckptedit train-mini --runs "${1:-runs/mini}" --device "${2:-cpu}"
