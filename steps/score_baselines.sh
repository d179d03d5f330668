#!/usr/bin/env bash
# Score baselines beside a model: untrained weights, an oracle that knows colours only, and DTW between log-mel features.
#
#   steps/score_baselines.sh [options] <embed-dir> <data-dir> <split> <out-dir>
#   e.g.: steps/score_baselines.sh --untrained-embed exp/mini/eval/mini/test/retrieval/untrained \
#           exp/mini/eval/mini/test/embed data/mini test exp/mini/eval/mini/test/retrieval
#
# Writes <out-dir>/baselines.json and prints one line a baseline and direction. The oracle needs lexicon.tsv and objects.tsv,
# DTW needs two languages; what is missing is said, not an error.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
untrained_embed=  # embeddings of the untrained model (steps/embed.sh --untrained true); left out when not given
dtw_images=400    # DTW compares the captions of this many images, evenly spread over the split
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 4 ] || usage_error "expected four arguments, <embed-dir> <data-dir> <split> <out-dir>"
embed=$1 data=$2 split=$3 out=$4
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_files "run stage 5 (embed) first" "$embed/embed.json" ${untrained_embed:+"$untrained_embed/embed.json"}
python -m vgspeech.bin.score_baselines ${untrained_embed:+--untrained-embed "$untrained_embed"} --dtw-images "$dtw_images" \
  "$embed" "$data" "$split" "$out/baselines.json"
