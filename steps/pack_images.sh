#!/usr/bin/env bash
# Images of an image set, decoded once to see that they can be, shrunk where they are larger than needed, and packed.
#
#   steps/pack_images.sh <image-set>
#   e.g.: steps/pack_images.sh --nj 8 data/places/images/train
#
# Reads images.scp and writes packed.scp with its archives. Images that cannot be used are listed with the reason in
# packed.rejected; they stay in images.scp.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
nj=4              # number of parallel jobs, at most one an image
cmd=run.pl        # job runner
shorter_side=256  # images whose shorter side has more pixels are shrunk to this
max_bad=0.01      # fraction of unusable images that is tolerated
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <image-set>"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"
data=$1

need_files "prepare the data first (stage 0)" "$data/images.scp"
total=$(wc -l <"$data/images.scp")
((total > 0)) || fail 4 "$data/images.scp has no images"
if ((nj > total)); then
  say "$total jobs instead of $nj, because $data has $total images"
  nj=$total
fi

verb=(python -m vgspeech.bin.pack_images --data-dir "$data" --num-jobs "$nj")
mkdir -p "$data/log"
$cmd JOB=1:"$nj" "$data/log/pack_images.JOB.log" "${verb[@]}" --job JOB --shorter-side "$shorter_side"
sentence=$("${verb[@]}" --merge --max-bad "$max_bad")
[ -s "$data/packed.scp" ] || fail 1 "$data/packed.scp was not made, see $data/log"
say "$sentence"
