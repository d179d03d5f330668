#!/usr/bin/env bash
# Retrieval scores of a split in every direction: R@1, R@5, R@10, ranks, chance, bootstrap intervals.
#
#   steps/score_retrieval.sh [options] <model-dir> <embed-dir> <data-dir> <split> <out-dir>
#   e.g.: steps/score_retrieval.sh exp/mini exp/mini/eval/mini/test/embed data/mini test exp/mini/eval/mini/test/retrieval
#
# Writes <out-dir>/results.json and ranks.tsv (the rank of every query, from which two models are compared), and prints
# the table.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
draws=1000  # draws of the bootstrap
seed=0      # of the bootstrap
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 5 ] || usage_error "expected five arguments, <model-dir> <embed-dir> <data-dir> <split> <out-dir>"
model=$1 embed=$2 data=$3 split=$4 out=$5
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_files "run stage 5 (embed) first" "$embed/embed.json"
python -m vgspeech.bin.score_retrieval --draws "$draws" --seed "$seed" "$model" "$embed" "$data" "$split" "$out/results.json"
