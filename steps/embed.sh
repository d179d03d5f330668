#!/usr/bin/env bash
# Embed the captions and images of splits with a trained model.
#
#   steps/embed.sh [options] <model-dir> <data-dir> <split> <out-embed-dir> [<split> <out-embed-dir>]...
#   e.g.: steps/embed.sh --nj 4 exp/mini data/mini test exp/mini/eval/mini/test/embed
#
# Writes <out-embed-dir>/<lang>.scp (T' x D frames of every caption), images.scp (H*W x D cells), grid_shape (image H W)
# and embed.json (frame times); float32, as the encoders give it. The bytes are the same for any --nj.
# Each job takes its share of every split; logs are in log/ of the first <out-embed-dir>.
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
(($# >= 4 && $# % 2 == 0)) ||
  usage_error "expected four arguments or more, <model-dir> <data-dir> <split> <out-embed-dir> [<split> <out-embed-dir>]..."
model=$1 data=$2 log=$4/log
shift 2
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

arguments=(--model "$model" --data "$data")
if [ "$untrained" = true ]; then
  need_files "name a model directory" "$model/config.yaml"
  arguments+=(--untrained)
else
  need_model "$model"
fi
while (($# > 0)); do
  need_files "run stage 2 (images) first" "$data/images/$1/packed.scp"
  mkdir -p "$2"
  rm -f "$2/embed.json" # written last: its presence says that the rest is whole
  arguments+=(--split "$1" --out "$2")
  shift 2
done

$cmd JOB=1:"$nj" "$log/embed.JOB.log" python -m vgspeech.bin.embed "${arguments[@]}" \
  --device "$device" --job JOB --num-jobs "$nj"
python -m vgspeech.bin.embed --merge "${arguments[@]}" --num-jobs "$nj"
