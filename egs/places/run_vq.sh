#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# English: discrete units by ResDAVEnet-VQ's warm-start chain {} -> {2} -> {2,3} (Harwath, Hsu, Glass 2020).
#
#   run.sh [options] --stop-stage 4    first: data, features, and the model without quantisers
#   run_vq.sh [the same options]       then this: the models <model>_vq2 and <model>_vq23, and the latter's evaluation
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# begin options
start=                 # folder of the model without quantisers (default: the one that run.sh trains)
codebook_size=         # codes of each quantiser (default: the configuration's)
codebook_start=kmeans  # where new codebooks start: kmeans of the frames that they will quantise, or random, as released
discovery_split=train  # split in which units are looked for
# end options
langs="en"
path_options="start"
declare -A default_config=([mini]=conf/mini_vq23.yaml [places]=conf/resdavenet_vq23.yaml)
stage_script=$root/steps/vq_stages.sh
. "$root/utils/recipe.sh"
# shellcheck source=steps/vq_stages.sh
. "$stage_script"

stage_vq2      # 1. a quantiser after the first residual stage
stage_vq23     # 2. one more after the second
stage_evaluate # 3. retrieval and word detectors: stages 5 to 8 of run.sh
stage_layers   # 4. quantisers beside k-means of the layers that they quantise, and a page
stage_abx      # 5. ABX errors of every layer
