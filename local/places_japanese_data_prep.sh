#!/usr/bin/env bash
# Data directories from a release of Places Japanese, alone or joined by image with Places Hindi and Places Audio.
#
#   local/places_japanese_data_prep.sh --japanese-audio DIR --images DIR [--hindi-audio DIR] [--places-audio DIR] <data-dir>
#   e.g.: local/places_japanese_data_prep.sh --japanese-audio /corpora/PlacesAudioJpn_100k --images /corpora/places205 \
#           --hindi-audio /corpora/PlacesHindi100k --places-audio /corpora/PlacesAudio_400k_distro data/places_trilingual
#
# --japanese-audio is the folder that the release unpacks to:
#
#   PlacesAudioJpn_100k/
#     PlacesAudioJpn_100k_image2audio_train.txt PlacesAudioJpn_100k_image2audio_valid.txt
#     (the folders of recordings that the second column of these files names)
#
# --images is the folder that the image paths are relative to (Places205). --hindi-audio and --places-audio: see
# local/places_hindi_data_prep.sh --help and local/places_data_prep.sh --help.
#
# Where to get it: ask its authors (Ohishi et al. 2020); its licence comes with it. It names no speakers and has no
# transcripts. In joins the splits are those of the Hindi release or, without it, of the Japanese one; captions of the
# other languages go where their image is. Speakers and utterances of joined corpora have the language in front.
#
# Writes <data-dir>/speech/<split>_ja (and _hi, _en) and <data-dir>/images/<split>. The folders are checked first, and what is
# missing is listed; sizes are compared with the published ones. Recordings and images that cannot be used are listed in each set's
# `rejected`. Nothing is written into the release. An interrupted run is simply started again.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
japanese_audio=             # folder of the Japanese release (required)
hindi_audio=                # folder of the Hindi release
places_audio=               # folder of the English release
images=                     # folder of the images (required)
require_all_languages=true  # leave out images without a caption in one of the languages
max_bad=0.01         # fraction of unusable captions, or images, in a set that is tolerated
allow_overlap=false  # keep splits that share images
subset=0             # images a split at most, chosen by a hash of their ids; 0 takes all
nj=4                 # processes that read headers
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <data-dir>"
[ -n "$japanese_audio" ] || usage_error "which release? give --japanese-audio DIR"
[ -n "$images" ] || usage_error "where are the images? give --images DIR"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

python -m vgspeech.bin.prepare_places --japanese "$japanese_audio" ${hindi_audio:+--hindi "$hindi_audio"} \
  ${places_audio:+--english "$places_audio"} --images "$images" --require-all-languages "$require_all_languages" \
  --max-bad "$max_bad" --allow-overlap "$allow_overlap" --subset "$subset" --nj "$nj" "$1"
