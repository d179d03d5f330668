#!/usr/bin/env bash
# Join the lexicons of all pairs of three or more languages to groups of words that mean the same.
#
#   steps/group_lexicons.sh <lexicons-dir>
#   e.g.: steps/group_lexicons.sh exp/mini/lexicon/mini
#
# Reads <lexicons-dir>/<a>-<b>/ of every pair of languages, writes <lexicons-dir>/groups.tsv.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
cmd=run.pl  # job runner
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <lexicons-dir>"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"
lexicons=$1
compgen -G "$lexicons/*/scores.json" >/dev/null ||
  fail 4 "no such file: $lexicons/*/scores.json" "run steps/discover_lexicon.sh for every pair first (stage 9)"

$cmd "$lexicons/log/group_lexicons.log" python -m vgspeech.bin.group_lexicons "$lexicons"

[ -f "$lexicons/groups.tsv" ] || fail 1 "$lexicons/groups.tsv was not made, see $lexicons/log/group_lexicons.log"
say "$(grep '^group_lexicons: ' "$lexicons/log/group_lexicons.log" | tail -n 1 | cut -d ' ' -f 2-)"
