#!/usr/bin/env bash
# How many words do the codes of a quantiser detect, beside those of k-means (or any other units) of the same split?
#
#   steps/compare_units.sh <units-dir> <other-units-dir> <out-dir>
#   e.g.: steps/compare_units.sh units/codes3 units/kmeans3 units
#
# Reads what steps/score_word_detectors.sh left in both folders; writes <out-dir>/comparison.json.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 3 ] || usage_error "expected three arguments, <units-dir> <other-units-dir> <out-dir>"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_files "score the codes first (steps/score_word_detectors.sh)" "$1/scores.json" "$2/scores.json"
say "$(python -m vgspeech.bin.compare_units "$1" "$2" "$3")"
