#!/usr/bin/env bash
# Images of image sets, decoded once to see that they can be, shrunk where they are larger than needed, and packed.
#
#   steps/pack_images.sh <image-set>...
#   e.g.: steps/pack_images.sh --nj 8 data/places/images/train data/places/images/dev
#
# Reads images.scp and writes packed.scp with its archives. Images that cannot be used are listed with the reason in
# packed.rejected; they stay in images.scp. Each job takes its share of every set; logs are in the first one's log/.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
nj=4              # number of parallel jobs, at most one an image of the largest set
cmd=run.pl        # job runner
shorter_side=256  # images whose shorter side has more pixels are shrunk to this
max_bad=0.01      # fraction of unusable images that is tolerated
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -ge 1 ] || usage_error "expected one argument or more, <image-set>..."
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_files "prepare the data first (stage 0)" "${@/%//images.scp}"
limit_jobs images "${@/%//images.scp}"

verb=(python -m vgspeech.bin.pack_images "${@/#/--data-dir=}" --num-jobs "$nj")
mkdir -p "$1/log"
$cmd JOB=1:"$nj" "$1/log/pack_images.JOB.log" "${verb[@]}" --job JOB --shorter-side "$shorter_side"
told=$("${verb[@]}" --merge --max-bad "$max_bad")
say "$told"
for set; do
  [ -s "$set/packed.scp" ] || fail 1 "$set/packed.scp was not made, see $1/log"
done
