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
max_utterances=2000     # utterances a set at most that feature means and variances are computed from; 0 takes all
cmd=run.pl  # job runner
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <data-dir>"
# shellcheck source=/dev/null
python -c 'import vgspeech' 2>/dev/null || . "$root/path.sh"
data=$1

for folder in speech images; do
  [ -d "$data/$folder" ] || { echo "compute_stats.sh: error: $data/$folder: no such folder; prepare the data first (stage 0)" >&2; exit 4; }
done

log=$data/stats/log/compute_stats.log
mkdir -p "${log%/*}"
$cmd "$log" python -m vgspeech.bin.compute_stats --max-utterances "$max_utterances" "$data"

for file in stats.json index.html; do
  [ -s "$data/stats/$file" ] || { echo "compute_stats.sh: error: $data/stats/$file is missing; see $log" >&2; exit 1; }
done
echo "compute_stats.sh: $(grep '^statistics of ' "$log")"
