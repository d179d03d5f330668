#!/usr/bin/env bash
# Statistics of a prepared corpus: sizes, durations, images, features; and a page that shows them.
#
#   steps/compute_stats.sh <data-dir>
#   e.g.: steps/compute_stats.sh data/mini
#
# Reads <data-dir>/speech/* and <data-dir>/images/* (features where stage 1 has made them) and writes
# <data-dir>/stats/stats.json and <data-dir>/stats/index.html, one file without outside resources.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
max_utterances=2000  # utterances a set at most that feature means and variances are computed from; 0 takes all
cmd=run.pl           # job runner
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <data-dir>"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"
data=$1

for folder in speech images; do
  [ -d "$data/$folder" ] || fail 4 "no such folder: $data/$folder" "prepare the data first (stage 0)"
done

log=$data/stats/log/compute_stats.log
mkdir -p "${log%/*}"
$cmd "$log" python -m vgspeech.bin.compute_stats --max-utterances "$max_utterances" "$data"

for file in stats.json index.html; do
  [ -s "$data/stats/$file" ] || fail 1 "$data/stats/$file was not made, see $log"
done
say "$(grep '^statistics of ' "$log")"
