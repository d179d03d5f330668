#!/usr/bin/env bash
# What a GPU does, in one go: the full-size training step against the released one (both without TF32), bfloat16 and float32,
# memory and part of the peak; then MISA ranks of 1,000 captions and 1,000 images. A few minutes on one GPU. A script, not a test.
#
#   tests/bench/bench_gpu.sh [DEVICE [BATCH [ITEMS]]]     default: cuda 64 1000; `cpu 2 40` shows in a minute that all of it runs
set -euo pipefail

device=${1:-cuda} batch=${2:-64} items=${3:-1000}
cd "$(dirname "$0")/../.."
. ./path.sh
steps=$([ "$device" = cpu ] && echo 1 || echo 10)
python tests/bench/bench_training_step.py --device "$device" --batch "$batch" --steps "$steps"
for cells in 14 7; do
  python tests/bench/bench_misa.py --device "$device" --items "$items" --cells "$cells" --loop-images "$((items < 20 ? items : 20))"
done
