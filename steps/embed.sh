#!/usr/bin/env bash
# Embed the captions and images of a split with a trained model.
#
#   steps/embed.sh [options] <model-dir> <data-dir> <split> <out-embed-dir>
#   e.g.: steps/embed.sh --nj 4 exp/mini data/mini test exp/mini/eval/mini/test/embed
#
# Writes <out-embed-dir>/<lang>.scp (T' x D frames of every caption), images.scp (H*W x D cells), grid_shape (image H W)
# and embed.json (frame times); float32, as the encoders give it. The bytes are the same for any --nj.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
nj=4             # parallel jobs, one thread each
cmd=run.pl       # job runner
device=cpu       # cpu or cuda
untrained=false  # embed with the random weights that training starts from, as a baseline
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 4 ] || usage_error "expected four arguments, <model-dir> <data-dir> <split> <out-embed-dir>"
model=$1 data=$2 split=$3 out=$4
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

arguments=(--model "$model" --data "$data" --split "$split" --out "$out")
if [ "$untrained" = true ]; then
  need_files "name a model directory" "$model/config.yaml"
  arguments+=(--untrained)
else
  need_model "$model"
fi
need_files "run stage 2 (images) first" "$data/images/$split/packed.scp"

mkdir -p "$out"
rm -f "$out/embed.json" # written last: its presence says that the rest is whole
$cmd JOB=1:"$nj" "$out/log/embed.JOB.log" python -m vgspeech.bin.embed "${arguments[@]}" \
  --device "$device" --job JOB --num-jobs "$nj"
python -m vgspeech.bin.embed --merge "${arguments[@]}" --num-jobs "$nj"
