#!/usr/bin/env bash
# Sub-word events of a model without codes: segments between the moments at which a layer's activation changes most.
#
#   steps/find_events.sh [--layer NAME] [--event change|norm] <model-dir> <data-dir> <split> <language> <out-dir>
#   e.g.: steps/find_events.sh exp/mini data/mini train en exp/mini/eval/mini/train/units_events/en
#
# Writes <out-dir> in the form of steps/dump_codes.sh (codes.scp, runs.scp, codes.ctm, codes.json; a segment's code is that
# of its mean frame by k-means), so that steps/score_segmentation.sh and steps/score_word_detectors.sh score it.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
layer=stem      # whose activation is looked at: stem, stage<n>, output
event=change    # peaks of what: the change from frame to frame (change) or the length of the activation vector (norm)
prominence=0.1  # how far a peak must stand out, in standard deviations over the caption
num_codes=128   # codes of k-means
seed=1          # of k-means
ctm=true        # also write codes.ctm
cmd=run.pl      # job runner
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 5 ] || usage_error "expected five arguments, <model-dir> <data-dir> <split> <language> <out-dir>"
model=$1 data=$2 split=$3 language=$4 out=$5
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_model "$model"

arguments=(--layer "$layer" --event "$event" --prominence "$prominence" --num-codes "$num_codes" --seed "$seed")
[ "$ctm" = false ] || arguments+=(--ctm)
mkdir -p "$out/log"
$cmd "$out/log/find_events.log" python -m vgspeech.bin.find_events --model "$model" --data "$data" --split "$split" \
  --language "$language" "${arguments[@]}" "$out"
say "$(grep -h '^find_events: ' "$out/log/find_events.log" | tail -n 1 | cut -d ' ' -f 2-)"
