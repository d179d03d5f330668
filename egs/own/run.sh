#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Your own recordings: pictures and people describing them, in one language or several. Retrieval, matchmaps, word-like
# units and a picture dictionary: of the words that languages share or, with one language, of its own.
#
#   run.sh --manifest FILE --langs "bam fra"  a table with columns image, wav, lang, speaker (local/manifest_data_prep.sh --help)
#   run.sh --tree DIR --langs "bam fra"       a folder tree <image>/<language>/<speaker>.wav
#   run.sh --kaldi DIR --langs "bam fra"      a Kaldi data directory: wav.scp utt2spk utt2lang utt2image, perhaps segments
#   and later, with the same options:         --stage train starts at a stage, by number or name
#
# docs/own-recordings.md is the guide. Several collections: give each a name with --corpus NAME, or a folder with --dir.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# begin options
corpus=own            # name of the collection, the folder below data/
manifest=             # the table (or JSON) of the recordings
tree=                 # or the folder tree
kaldi=                # or the Kaldi data directory
tier=                 # tier of ELAN or Praat files beside long recordings whose annotations are the captions
langs=                # the languages, as the table or the tree calls them, in quotes: "bam fra"
audio=                # folder that paths of recordings are relative to (default: the manifest's, or --kaldi)
images=               # folder that paths of images are relative to (default: the manifest's, the tree, or --kaldi)
hash_speakers=false   # ids that do not tell who speaks (docs/own-recordings.md, Privacy)
init_from=            # a trained model to start from: its image encoder, and its audio encoders of the same languages
init_audio=           # the language of that model whose audio encoder the other languages start from
dev=0.1               # fraction of the images held out for development
test=0.1              # fraction of the images held out for test
frames=3              # video frames of each clip, where there are videos
front_end_config=     # front end (default: conf/<front_end>.yaml, as the training configuration says)
discovery_split=train # split in which units and lexicon are looked for
# end options
path_options="manifest tree kaldi audio images init_from front_end_config"
declare -A default_config=([other]=conf/small.yaml)
stage_script=$root/steps/stages.sh
check_options() { # what can be told before anything is set up
  local name lang recordings=(${manifest:+"$manifest"} ${tree:+"$tree"} ${kaldi:+"$kaldi"})
  [ -n "$langs" ] || usage_error "which languages? give --langs, for example --langs \"bam fra\""
  for lang in $langs; do
    [[ $lang =~ ^[a-z]{2,3}(-[A-Za-z0-9]{1,8})*$ ]] || usage_error "--langs: \"$lang\" is not a tag of two or three letters"
  done
  [ -z "$tier" ] || [ -n "$manifest" ] || usage_error "--tier goes with --manifest: a table with the columns wav, lang, speaker"
  if [ -n "$stage" ] && ((stage > 0)); then return; fi
  ((${#recordings[@]} == 1)) || usage_error "which recordings? give --manifest FILE, --tree DIR or --kaldi DIR, one of them"
  [ ! -e "$work/$data/.stages/00-data.json" ] || return 0 # once read, they may be gone
  for name in manifest tree kaldi audio images; do
    [ -z "${!name}" ] || [ -e "${!name}" ] || usage_error "--$name: no such file or folder: ${!name}"
  done
}
. "$root/utils/recipe.sh"
# The configuration is for any languages; these are the model's (in quotes: YAML takes a bare "no" for false).
start=()
[ -z "$init_from" ] || start+=("training.init_from=\"$init_from\"")
[ -z "$init_audio" ] || start+=("training.init_audio=\"$init_audio\"")
[ -v "option_given[model]" ] || set=("languages=[\"${langs// /\", \"}\"]" "${start[@]}" "${set[@]}")
# shellcheck source=steps/stages.sh
. "$stage_script"

# 0. The recordings as data directories; what cannot be used is listed with file and line, and nothing is lost.
if stage 0 data "read the recordings" --stamp "$data/.stages" --maybe "$manifest" --maybe "$tree" \
  --read "$data/.read_files.json" --opt "tree kaldi tier audio images dev test frames max_bad hash_speakers" --out "$data/speech/*/wav.scp" \
  --out "$data/images/*/images.scp" --verb prepare_manifest --aside "$data"; then
  "$recipe"/local/manifest_data_prep.sh --nj "$nj" --max-bad "$max_bad" --dev "$dev" --test "$test" --langs "$langs" \
    --frames "$frames" --hash-speakers "$hash_speakers" ${manifest:+--manifest "$manifest"} ${tree:+--tree "$tree"} \
    ${kaldi:+--kaldi "$kaldi"} ${tier:+--tier "$tier"} ${audio:+--audio "$audio"} ${images:+--images "$images"} "$data"
  for lang in $langs; do
    compgen -G "$data/speech/*_$lang" >/dev/null ||
      usage_error "--langs: the recordings have no language $lang (they have: $(cut -d ' ' -f 2 "$data"/speech/*/utt2lang | sort -u | xargs))"
  done
  stage_done
fi

stage_features   # 1. audio features to archives
stage_images     # 2. images decoded, shrunk, packed
stage_statistics # 3. what was recorded, on a page
stage_train      # 4. the grounding model
stage_embed      # 5. captions and images in the shared space
stage_retrieval  # 6. recall in all directions
stage_matchmaps  # 7. what each part of a caption lights up
stage_units      # 8. codes; as word detectors where word times are known
stage_lexicon    # 9. the lexicon of each two languages; of a single one, its word clusters
stage_report     # 10. everything on one page
