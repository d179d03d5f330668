#!/usr/bin/env bash
# The built-in mini corpus: draw scenes, speak captions, and make data directories of them.
#
#   local/mini_data_prep.sh [options] <data-dir>
#   e.g.: local/mini_data_prep.sh --nj 2 --corpus-config conf/mini_corpus.yaml data/mini
#
# Writes <data-dir>/release, laid out as Places Audio and Places Hindi are released, with the truth beside it; then the
# scripts for those corpora prepare <data-dir>/speech and <data-dir>/images from it. The corpus is the same, byte for
# byte, for any number of jobs. A release that was left half made is finished; one of other settings is an error.
#
# Needs the packages espeakng-loader (espeak-ng, under the GPL; runs in a process of its own) and qtawesome (icon fonts).
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
langs="en hi"   # languages, "en" or "en hi"; English is the same with and without Hindi
corpus_config=  # settings of the corpus (YAML); without: the built-in ones, which are those of conf/mini_corpus.yaml
set=()          # a=b, changes one of the settings, for example train_scenes=300; may be repeated
nj=2            # number of parallel jobs
cmd=run.pl      # job runner
max_bad=0.01    # fraction of unusable captions, or images, in a set that is tolerated
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <data-dir>"
[[ $nj =~ ^[1-9][0-9]*$ ]] || usage_error "--nj must be a whole number of at least 1, got \"$nj\""
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

data=$1
release=$data/release
settings=(--langs "$langs")
[ -z "$corpus_config" ] || settings+=(--config "$corpus_config")
for setting in "${set[@]}"; do settings+=(--set "$setting"); done

if [ ! -f "$release/release.json" ]; then
  $cmd JOB=1:"$nj" "$data/log/make_mini_corpus.JOB.log" \
    python -m vgspeech.bin.make_mini_corpus "${settings[@]}" --job JOB --nj "$nj" "$release"
fi
python -m vgspeech.bin.make_mini_corpus "${settings[@]}" "$release"

case " $langs " in
  *" hi "*)
    "$root/local/places_hindi_data_prep.sh" --hindi-audio "$release/PlacesHindi_mini" \
      --places-audio "$release/PlacesAudio_mini" --images "$release/images" --truth "$release/truth" \
      --max-bad "$max_bad" --nj "$nj" "$data"
    ;;
  *)
    "$root/local/places_data_prep.sh" --places-audio "$release/PlacesAudio_mini" --images "$release/images" \
      --truth "$release/truth" --max-bad "$max_bad" --nj "$nj" "$data"
    ;;
esac
