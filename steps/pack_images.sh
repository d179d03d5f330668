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
nj=4                     # number of parallel jobs, at most one an image
cmd=run.pl   # job runner
shorter_side=256         # images whose shorter side has more pixels are shrunk to this
max_bad=0.01             # fraction of unusable images that is tolerated
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <image-set>"
# shellcheck source=/dev/null
python -c 'import vgspeech' 2>/dev/null || . "$root/path.sh"
data=$1

[ -f "$data/images.scp" ] || { echo "pack_images.sh: error: $data/images.scp: no such file" >&2; exit 4; }
total=$(wc -l <"$data/images.scp")
((total > 0)) || { echo "pack_images.sh: error: $data/images.scp: has no images" >&2; exit 4; }
if ((nj > total)); then
  echo "pack_images.sh: $total jobs instead of $nj, because $data has $total images"
  nj=$total
fi

verb=(python -m vgspeech.bin.pack_images --data-dir "$data" --num-jobs "$nj")
mkdir -p "$data/log"
$cmd JOB=1:"$nj" "$data/log/pack_images.JOB.log" "${verb[@]}" --job JOB --shorter-side "$shorter_side"
sentence=$("${verb[@]}" --merge --max-bad "$max_bad")
[ -s "$data/packed.scp" ] || { echo "pack_images.sh: error: $data/packed.scp was not made; see $data/log" >&2; exit 1; }
echo "pack_images.sh: $sentence"
