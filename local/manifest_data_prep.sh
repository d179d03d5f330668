#!/usr/bin/env bash
# Data directories from your own recordings: a manifest (table or JSON), a folder tree, or a Kaldi data directory.
#
#   local/manifest_data_prep.sh --manifest FILE <data-dir>
#   local/manifest_data_prep.sh --tree DIR <data-dir>
#   local/manifest_data_prep.sh --kaldi DIR <data-dir>
#   e.g.: local/manifest_data_prep.sh --manifest recordings/manifest.tsv data/own
#
# A manifest has a header line and then one line a caption, separated by tabs (commas and semicolons work too, as do files
# saved on Windows and by spreadsheet programs):
#
#   image            wav                lang  speaker
#   market.jpg       awa/001.wav        fr    awa
#   market.jpg       moussa/market.mp3  bam   moussa
#
# image, wav    paths, relative to the manifest's folder (or to --images and --audio), or absolute and inside these. An image may
#               also be a video (market.mp4), or a folder with the video frames of a clip as image files
# video         instead of image, or beside it: in each line one of the two is filled
# lang          a tag of two or three letters: en, hi, bam (ISO 639)
# speaker       a name without blanks
# start, end    optional: seconds, for captions that are pieces of a long recording
# text          optional: what is said; used for evaluation only
# share         optional: yes or no; reports leave out recordings with no
# split         optional: train, dev or test; without it images are divided by a hash of their names, and stay where they
#               are when recordings are added
#
# With --tier NAME a line without an image is a long recording: beside awa/001.wav lies awa/001.eaf (ELAN) or awa/001.TextGrid
# (Praat), and each annotation of that tier is a caption. Its text names the image: the file's name or path, with or without
# the extension, or its id. Empty annotations are skipped and counted.
#
# As JSON it is a list of objects with these keys. Recordings may be in any format that libsndfile reads (WAV, FLAC, MP3,
# Ogg, Opus, AIFF ...), at any rate, with any number of channels; M4A from telephones must be converted first.
#
# --tree is a folder of the form
#
#   recordings/
#     market/                    one folder for each image
#       market.jpg               the image, or video (or market.jpg in the folder given as --images)
#       fr/                      one folder for each language: a tag such as en, hi, bam
#         awa.wav                the speaker's name; from the second take on with _ and anything behind it
#         awa_2.wav
#         moussa.flac
#       bam/
#         awa.wav
#
# --kaldi is a Kaldi data directory, which may cut long recordings by `segments`:
#
#   wav.scp      recording file, one a line. Relative paths are relative to the directory, or to --audio; commands are refused
#   segments     optional: utterance recording start end (seconds); without it an utterance is a recording
#   utt2spk      utterance speaker
#   utt2lang     utterance language: a tag of two or three letters
#   utt2image    utterance picture: as in a tier, looked for in all folders below the directory, or below --images
#   text, utt2share    optional: as the columns text and share of a manifest
#
# All sorted as Kaldi wants them (LC_ALL=C sort). Utterances keep their ids, with the speaker in front where they do not begin so;
# those that are not in utt2image are left out and counted.
#
# Of a video --frames video frames are taken, evenly spread. Reading videos needs PyAV: pip install av
#
# Writes <data-dir>/speech/<split>_<lang> and <data-dir>/images/<split>. With several languages, speakers and utterances
# have the language in front. What cannot be used is listed with file and line in each set's `rejected`. Nothing is
# written where the recordings are. An interrupted run is simply started again.
#
# --hash-speakers true: ids of speakers, utterances and recordings are hashes. The key, .speaker_key beside <data-dir>, is made
# once; with it speakers keep their ids when recordings are added. Names of files are left in wav.scp, which needs them, and in
# `rejected`; ids of images are made of the images' names, and transcripts are left as they are.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
manifest=                    # the manifest
tree=                        # or the folder tree
kaldi=                       # or the Kaldi data directory
tier=                        # tier of .eaf or .TextGrid files beside the recordings whose annotations are captions
audio=                       # folder that paths of recordings are relative to (default: the manifest's, or --kaldi)
images=                      # folder that paths of images are relative to (default: the manifest's, the tree, or --kaldi)
dev=0.1                      # fraction of the images held out for development
test=0.1                     # fraction of the images held out for test
frames=3                     # video frames of each clip, 1 to 64
max_bad=0.01                 # fraction of unusable captions, or images, in a set that is tolerated
allow_overlap=false          # keep splits that share images (or speakers, with --speakers-apart)
speakers_apart=false         # the splits of the manifest are meant to share no speakers: refuse those that do
require_all_languages=false  # leave out images without a caption in one of the languages
subset=0                     # images a split at most, chosen by a hash of their ids; 0 takes all
langs=                       # languages that will be compared, in quotes: refuses those without a picture in common
hash_speakers=false          # ids that do not tell the speakers' names, see above
nj=4                         # processes that read headers
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <data-dir>"
recordings=(${manifest:+"$manifest"} ${tree:+"$tree"} ${kaldi:+"$kaldi"})
((${#recordings[@]} == 1)) || usage_error "which recordings? give --manifest FILE, --tree DIR or --kaldi DIR, one of them"
[ -z "$tier" ] || [ -n "$manifest" ] || usage_error "--tier goes with --manifest: a table with the columns wav, lang, speaker"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

python -m vgspeech.bin.prepare_manifest ${manifest:+--manifest "$manifest"} ${tree:+--tree "$tree"} \
  ${kaldi:+--kaldi "$kaldi"} ${tier:+--tier "$tier"} ${audio:+--audio "$audio"} ${images:+--images "$images"} \
  --dev "$dev" --test "$test" --frames "$frames" --max-bad "$max_bad" \
  --allow-overlap "$allow_overlap" --speakers-apart "$speakers_apart" --require-all-languages "$require_all_languages" \
  --subset "$subset" --langs "$langs" --hash-speakers "$hash_speakers" --nj "$nj" "$1"
