#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Discrete units: ResDAVEnet-VQ by the released warm-start chain {} -> {2} -> {2,3} (Harwath, Hsu, Glass 2020). Each model
# starts from the weights of the one before, with a new optimiser and schedule; its new codebook starts at random.
#
#   run.sh [options] --stop-stage 4    first: data, features, and the model without quantisers
#   run_vq.sh [the same options]       then this: the models <model>_vq2 and <model>_vq23, and the latter's evaluation
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# begin options
start=               # folder of the model without quantisers (default: the one that run.sh trains)
codebook_size=1024   # codes of each quantiser
# end options
path_options="start"
declare -A default_config=([mini]=conf/mini.yaml [places]=conf/resdavenet_vq23.yaml)
. "$root/utils/recipe.sh"

base=${model_dir/_vq23/} # exp/resdavenet with conf/resdavenet_vq23.yaml, exp/mini with conf/mini.yaml; tag and seed stay
: "${start:=$base}"
front_end=$(sed -n 's/^front_end: *\([A-Za-z0-9_-]*\).*/\1/p' "$train_config")

# train_from START POSITIONS MODEL: one link of the chain.
train_from() {
  local override overrides=() dev_split
  dev_split=$(cd "$data/images" && printf '%s\n' dev* | head -n 1)
  [ -d "$data/images/$dev_split" ] || dev_split=none
  for override in "${set[@]}" "audio.quantizers=$2" "audio.codebook_size=$codebook_size"; do overrides+=(--set "$override"); done
  "$recipe"/steps/train.sh --init-from "$1" --ngpu "$ngpu" --cmd "$cuda_cmd" --seed "$seed" "${overrides[@]}" \
    --dev-split "$dev_split" "$train_config" "$data" "$3"
}

# 1. A quantiser after the first residual stage: frames of 20 ms with the released stem.
if stage 1 vq2 "train with quantiser 2, from $start" --stamp "${base}_vq2/.stages" \
  --in "$start/best.pt" --in "$train_config" --in "$data/speech/train*/feats/$front_end.scp" \
  --in "$data/images/train*/packed.scp" --out "${base}_vq2/best.pt" --opt "set seed codebook_size" --verb train \
  --aside "${base}_vq2"; then
  train_from "$start" "[2]" "${base}_vq2"
  stage_done
fi

# 2. One more after the second stage: frames of 40 ms.
if stage 2 vq23 "train with quantisers 2 and 3, from ${base}_vq2" --stamp "${base}_vq23/.stages" \
  --in "${base}_vq2/best.pt" --in "$train_config" --in "$data/speech/train*/feats/$front_end.scp" \
  --in "$data/images/train*/packed.scp" --out "${base}_vq23/best.pt" --opt "set seed codebook_size" --verb train \
  --aside "${base}_vq23"; then
  train_from "${base}_vq2" "[2,3]" "${base}_vq23"
  stage_done
fi

# 3. Retrieval, and the codes of the last quantiser as word detectors: stages 5 to 8 of run.sh.
if stage 3 evaluate "evaluate ${base}_vq23" --stamp "${base}_vq23/.stages" --in "${base}_vq23/best.pt" \
  --out "${base}_vq23/eval/$corpus/*/retrieval/results.json" --out "${base}_vq23/eval/$corpus/*/units/*/codes.scp"; then
  "$recipe"/run.sh --corpus "$corpus" --model "${base}_vq23" --dir "$work" --nj "$nj" --stage 5 --stop-stage 8
  stage_done
fi
