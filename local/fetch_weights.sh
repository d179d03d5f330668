#!/usr/bin/env bash
# Fetch weights that others have trained, once, and only what is asked for: ImageNet backbones, released checkpoints.
#
#   local/fetch_weights.sh [options] <name>
#   local/fetch_weights.sh --list
#   e.g.: local/fetch_weights.sh resnet18-imagenet
#         run.sh --set image.type=resnet18 --set image.weights=resnet18-imagenet
#
# Shows size, licence and SHA-256, and compares the file with what is published of these. Where nothing is, the SHA-256 of what
# came first is kept and compared later. A download that broke off goes on where it stopped. Copies lie in $VGS_WEIGHTS
# (default: weights/ in the project's folder), for all recipes. Without a network: get the file elsewhere, and give it with --from.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
list=false  # show what there is, and what of it is here
from=       # a copy that was fetched by hand: it is checked and put in its place
table=      # another table than pylib/vgspeech/pretrained.tsv, of a mirror or of your own weights
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
if [ "$list" = true ]; then
  [ $# -eq 0 ] || usage_error "--list takes no name"
else
  [ $# -eq 1 ] || usage_error "expected one argument, <name> (--list shows them)"
fi
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

python -m vgspeech.bin.fetch_weights ${table:+--table "$table"} ${from:+--from "$from"} "$@"
