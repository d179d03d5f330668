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
cmd=run.pl  # job runner
device=cpu       # cpu or cuda
untrained=false  # embed with the random weights that training starts from, as a baseline
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 4 ] || usage_error "expected four arguments, <model-dir> <data-dir> <split> <out-embed-dir>"
model=$1 data=$2 split=$3 out=$4
# shellcheck source=/dev/null
python -c 'import vgspeech' 2>/dev/null || . "$root/path.sh"

for file in "$model/config.yaml" "$model/best.pt" "$data/images/$split/packed.scp"; do
  if [ "$untrained" = true ] && [ "$file" = "$model/best.pt" ]; then continue; fi
  if [ ! -f "$file" ]; then
    echo "$0: no such file: $file" >&2
    echo "  run the stage that makes it first (2: packed images, 4: model)" >&2
    exit 4
  fi
done

arguments=(--model "$model" --data "$data" --split "$split" --out "$out")
[ "$untrained" = false ] || arguments+=(--untrained)
parts=$(python -m vgspeech.bin.embed --list "${arguments[@]}")
mkdir -p "$out"
rm -f "$out/embed.json" # written last: its presence says that the rest is whole
for what in $parts; do
  $cmd JOB=1:"$nj" "$out/log/embed_$what.JOB.log" python -m vgspeech.bin.embed "${arguments[@]}" \
    --what "$what" --device "$device" --job JOB --num-jobs "$nj"
done
python -m vgspeech.bin.embed --merge "${arguments[@]}" --num-jobs "$nj"
