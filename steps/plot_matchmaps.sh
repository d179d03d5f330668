#!/usr/bin/env bash
# Matchmaps: pictures of what each word of a few captions lights up, and the score of how often words look at their object.
#
#   steps/plot_matchmaps.sh [options] <model-dir> <embed-dir> <data-dir> <split> <out-dir>
#   e.g.: steps/plot_matchmaps.sh exp/mini exp/mini/eval/mini/test/embed data/mini test exp/mini/eval/mini/test/matchmaps
#
# Writes <out-dir>/<lang>/<utt>.png, captions.json, maps.scp (subtracted matchmaps) and localisation.json. Without word times
# the pictures show the most active stretches; without object boxes localisation.json says that it cannot be scored.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
captions=6        # captions of each language
untrained_embed=  # embeddings of the untrained model, to compare with (default: those beside the retrieval scores, if any)
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 5 ] || usage_error "expected five arguments, <model-dir> <embed-dir> <data-dir> <split> <out-dir>"
model=$1 embed=$2 data=$3 split=$4 out=$5
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_files "run stage 5 (embed) first" "$embed/embed.json"
beside=$(dirname "$embed")/retrieval/untrained
if [ -z "$untrained_embed" ] && [ -f "$beside/embed.json" ]; then untrained_embed=$beside; fi
python -m vgspeech.bin.score_localisation ${untrained_embed:+--untrained-embed "$untrained_embed"} \
  "$model" "$embed" "$data" "$split" "$out/localisation.json"
python -m vgspeech.bin.plot_matchmaps --captions "$captions" "$model" "$embed" "$data" "$split" "$out"
