#!/usr/bin/env bash
# Write the discrete units of every caption: codes of the model's own quantiser, or of k-means over one of its layers.
#
#   steps/dump_codes.sh [--num-codes K] [--layer NAME] <model-dir> <data-dir> <split> <language> <out-dir>
#   e.g.: steps/dump_codes.sh exp/mini data/mini train en exp/mini/eval/mini/train/units/en
#
# Writes <out-dir>/codes.scp (one vector of whole numbers a caption, standard Kaldi), runs.scp (run-length form: code and
# number of frames in turn), codes.ctm (start and duration of every run in seconds), codes.json (what the codes are, and
# their times) and, for k-means, codebook.scp.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
layer=         # codes<n>: a quantiser; stem, stage<n>, output: k-means over it; by default the last quantiser, else output
num_codes=128  # codes of k-means
seed=1         # of k-means
ctm=true       # also write codes.ctm; it is text and becomes large: about 10 kB for each 10 s at 20 ms a frame
embed=         # embedding directory of the split; by default <model-dir>/eval/<corpus>/<split>/embed
cmd=run.pl     # job runner
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 5 ] || usage_error "expected five arguments, <model-dir> <data-dir> <split> <language> <out-dir>"
model=$1 data=$2 split=$3 language=$4 out=$5
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

[ -n "$embed" ] || embed=$model/eval/$(basename "$data")/$split/embed
need_model "$model"
need_files "run stage 5 (embed) first" "$embed/embed.json"

arguments=(--layer "$layer" --num-codes "$num_codes" --seed "$seed")
[ "$ctm" = false ] || arguments+=(--ctm)
mkdir -p "$out/log"
$cmd "$out/log/dump_codes.log" python -m vgspeech.bin.dump_codes --model "$model" --embed "$embed" --data "$data" \
  --split "$split" --language "$language" "${arguments[@]}" "$out"
embedded=$(wc -l <"$embed/$language.scp")
coded=$(wc -l <"$out/codes.scp")
[ "$coded" -eq "$embedded" ] ||
  fail 1 "$coded captions have codes, $embedded are embedded, see $out/log/dump_codes.log"
say "$coded captions of ${split}_$language as codes in $out"
