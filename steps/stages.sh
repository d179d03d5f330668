# shellcheck shell=bash disable=SC2154  # sourced by egs/*/run.sh after utils/recipe.sh, which sets the variables used here
# Stages 1 to 10 (and 0 of the mini corpus), the same in every recipe: one function a stage, in the order in which run.sh calls them.
#
# A function says what its stage reads (--in), makes (--out) and depends on (--opt, --verb), then calls one or two steps.
# From run.sh: langs, mini_config, mini_set, front_end_config, discovery_split; the other variables are explained in utils/recipe.sh.

eval_dir=$result_dir/eval/$corpus
lexicon_dir=$result_dir/lexicon/$corpus
read -r -a language_list <<<"$langs"
: "${mini_config:=$conf/mini_corpus.yaml}"

# The model's front end decides which features are made.
model_config=$train_config
if [ -v "option_given[model]" ] && [ -f "$model_dir/config.yaml" ]; then model_config=$model_dir/config.yaml; fi
front_end=$(sed -n 's/^front_end: *\([A-Za-z0-9_-]*\).*/\1/p' "$model_config")
if [ ! -v "option_given[model]" ]; then
  for override in "${set[@]}"; do
    case $override in front_end=*) front_end=${override#*=} ;; esac
  done
fi
: "${front_end:=fbank}" "${front_end_config:=$conf/$front_end.yaml}"

# What can be known to be wrong before the first stage is said before it.
if [ -v "option_given[model]" ]; then
  [ ! -f "$model_dir" ] || usage_error "--model: $model_dir is a file; if it is a packed model: utils/unpack_model.sh $model_dir exp/NAME"
  for file in config.yaml best.pt; do
    [ -f "$model_dir/$file" ] || usage_error "--model: $model_dir holds no trained model, it has no $file"
  done
  for option in set train_config; do
    [ ! -v "option_given[$option]" ] || usage_error "--${option//_/-}: --model is used as it is, nothing is trained"
  done
elif [ "$dry_run" = false ] &&
  { [ ! -f "$model_dir/best.pt" ] || ((${#set[@]} > 0)) || [ -v "option_given[train_config]" ]; }; then
  python -m vgspeech.bin.check_config --front-end "$front_end_config" "${set[@]/#/--set=}" "$train_config" >/dev/null || exit
fi

if [ "$corpus" = mini ] && [ "$dry_run" = false ] && [ "${stage:-0}" -eq 0 ] &&
  { ((${#mini_set[@]} > 0)) || [ -v "option_given[mini_config]" ]; }; then
  python -m vgspeech.bin.check_config --mini-corpus "${mini_set[@]/#/--mini-set=}" "$mini_config" >/dev/null || exit
fi

# stage_skipped NUMBER NAME WHY: says that a stage which the run would come to has nothing to do.
stage_skipped() {
  if [ -n "$stage" ] && (($1 < stage)); then return; fi
  if [ -n "$stop_stage" ] && (($1 > stop_stage)); then return; fi
  echo "stage $1 $2: skipped, $3"
}

# Splits to evaluate: every test split or, where a release has none, the development splits.
evaluation_splits() {
  local found=()
  mapfile -t found < <(find "$data/images" -mindepth 1 -maxdepth 1 -name 'test*' -printf '%f\n' 2>/dev/null | sort)
  ((${#found[@]} > 0)) ||
    mapfile -t found < <(find "$data/images" -mindepth 1 -maxdepth 1 -name 'dev*' -printf '%f\n' 2>/dev/null | sort)
  printf '%s\n' "${found[@]}"
}

# 0. The mini corpus: drawn and spoken here, written as the Places corpora are released, then read as they are.
stage_mini_data() {
  if stage 0 data "make the mini corpus" --stamp "$data/.stages" --in "$mini_config" --opt "mini_set langs" \
    --out "$data/speech/*/wav.scp" --out "$data/images/*/images.scp" --verb "make_mini_corpus prepare_places" \
    --aside "$data"; then
    local setting settings=()
    for setting in "${mini_set[@]}"; do settings+=(--set "$setting"); done
    "$recipe"/local/mini_data_prep.sh --nj "$nj" --cmd "$train_cmd" --langs "$langs" --corpus-config "$mini_config" \
      "${settings[@]}" "$data"
    stage_done
  fi
}

# need_paths OPTION...: a corpus that is read from the user's folders needs these options, unless stage 0 is left out.
need_paths() {
  local name
  [ -z "$stage" ] || ((stage == 0)) || return 0
  for name in "$@"; do
    [ -n "${!name}" ] || usage_error "corpus $corpus needs --${name//_/-} (only --stage 1 or later works without)"
  done
}

# Whether the corpus lacks the split to look for units and a lexicon in, as one that is only for evaluation may (before the
# corpus is made, as in a dry run, nothing is known to be lacking). A split that was asked for must be there.
lacks_discovery_split() {
  if [ ! -d "$data/images" ] || [ -d "$data/images/$discovery_split" ]; then return 1; fi
  [ ! -v "option_given[discovery_split]" ] ||
    usage_error "--discovery-split: $data has no split $discovery_split (there are: $(cd "$data/images" && echo *))"
}

# need_release COMMAND PATTERN...: a release without its metadata is for COMMAND, its reader, to explain.
need_release() {
  local read_release=$1 pattern
  shift
  if [ "$dry_run" = true ] || [ -n "$stage" ] && ((stage > 0)); then return; fi
  for pattern; do
    compgen -G "$pattern" >/dev/null || "$read_release" || exit
  done
}

# 1. Features of every caption: log-mel, or samples for a speech model. Those of several front ends lie side by side, each with
#    stamps of its own.
stage_features() {
  lacks_discovery_split || true # a wrong name ends the run here, not after training
  if stage 1 features "audio features" --stamp "$data/.stages/$front_end" \
    --in "$data/speech/*/wav.scp" --maybe "$data/speech/*/segments" --in "$front_end_config" \
    --out "$data/speech/*/feats/$front_end.scp" --opt max_bad --verb make_features; then
    "$recipe"/steps/make_fbank.sh --nj "$nj" --cmd "$train_cmd" --max-bad "$max_bad" "$data"/speech/* "$front_end_config"
    stage_done
  fi
}

# 2. Images: decoded once to see that they can be, shrunk where they are larger than the networks need, packed.
stage_images() {
  if stage 2 images "decode, shrink and pack images" --stamp "$data/.stages" \
    --in "$data/images/*/images.scp" --maybe "$data/images/*/image2frames" --out "$data/images/*/packed.scp" \
    --opt max_bad --verb pack_images; then
    "$recipe"/steps/pack_images.sh --nj "$nj" --cmd "$train_cmd" --max-bad "$max_bad" "$data"/images/*
    stage_done
  fi
}

# 3. What is in the corpus: durations, speakers, captions an image, on a short page.
stage_statistics() {
  if stage 3 statistics "corpus statistics" --stamp "$data/.stages/$front_end" \
    --in "$data/speech/*/feats/$front_end.scp" --in "$data/images/*/packed.scp" --maybe "$data/speech/*/utt2share" \
    --out "$data/stats/stats.json" --verb compute_stats; then
    "$recipe"/steps/compute_stats.sh "$data"
    stage_done
  fi
}

# 4. One audio encoder for each language and one image encoder, trained so that what is shown and what is said agree.
stage_train() {
  if [ -v "option_given[model]" ]; then
    stage_skipped 4 train "--model $model_dir is used as it is"
  elif stage 4 train "train the grounding model" --stamp "$model_dir/.stages" \
    --in "$train_config" --in "$data/speech/train*/feats/$front_end.scp" --in "$data/speech/train*/utt2image" \
    --in "$data/images/train*/packed.scp" --out "$model_dir/best.pt" --opt "set seed" --verb train --aside "$model_dir"; then
    local override overrides=() dev_split
    # The development split that chooses the best weights: dev or, in a release with several (dev_seen, dev_unseen), the first.
    dev_split=$(cd "$data/images" && printf '%s\n' dev* | head -n 1)
    [ -d "$data/images/$dev_split" ] || dev_split=none
    for override in "${set[@]}"; do overrides+=(--set "$override"); done
    "$recipe"/steps/train.sh --ngpu "$ngpu" --num-nodes "$num_nodes" --cmd "$cuda_cmd" --seed "$seed" \
      "${overrides[@]}" --dev-split "$dev_split" "$train_config" "$data" "$model_dir"
    stage_done
  fi
}

# 5. Every caption's frames and every image's cells in the shared space: the evaluation splits, and for stages 8 and 9 the
#    captions of the training split.
stage_embed() {
  if stage 5 embed "embed captions and images" --stamp "$eval_dir/.stages" \
    --in "$model_dir/best.pt" --in "$data/speech/*/feats/$front_end.scp" --in "$data/images/*/packed.scp" \
    --out "$eval_dir/*/embed/embed.json" --opt discovery_split --verb embed; then
    local split splits=()
    while read -r split; do
      splits+=("$split" "$eval_dir/$split/embed")
    done < <({ evaluation_splits && { lacks_discovery_split || echo "$discovery_split"; }; } | awk '!seen[$0]++')
    "$recipe"/steps/embed.sh --nj "$nj" --cmd "$train_cmd" "$model_dir" "$data" "${splits[@]}"
    stage_done
  fi
}

# 6. Retrieval in every direction; where the truth is known, what simple baselines reach beside it.
stage_retrieval() {
  if stage 6 retrieval "retrieval scores" --stamp "$eval_dir/.stages" \
    --in "$model_dir/best.pt" --in "$eval_dir/*/embed/embed.json" --in "$data/speech/*/utt2image" \
    --out "$eval_dir/*/retrieval/results.json" --verb "score_retrieval score_baselines"; then
    local split out untrained=()
    for split in $(evaluation_splits); do
      out=$eval_dir/$split/retrieval untrained+=("$split" "$out/untrained")
      "$recipe"/steps/score_retrieval.sh "$model_dir" "$eval_dir/$split/embed" "$data" "$split" "$out"
    done
    if [ -f "$data/lexicon.tsv" ]; then
      "$recipe"/steps/embed.sh --nj "$nj" --cmd "$train_cmd" --untrained true "$model_dir" "$data" "${untrained[@]}"
      for split in $(evaluation_splits); do
        out=$eval_dir/$split/retrieval
        "$recipe"/steps/score_baselines.sh --untrained-embed "$out/untrained" "$eval_dir/$split/embed" "$data" "$split" "$out"
      done
    fi
    stage_done
  fi
}

# 7. Matchmaps: what in the image each part of a caption lights up.
stage_matchmaps() {
  if stage 7 matchmaps "matchmap pictures" --stamp "$eval_dir/.stages" \
    --in "$model_dir/best.pt" --in "$eval_dir/*/embed/embed.json" --maybe "$data/speech/*/utt2share" \
    --out "$eval_dir/*/matchmaps" \
    --verb "plot_matchmaps score_localisation"; then
    local split
    for split in $(evaluation_splits); do
      "$recipe"/steps/plot_matchmaps.sh "$model_dir" "$eval_dir/$split/embed" "$data" "$split" "$eval_dir/$split/matchmaps"
    done
    stage_done
  fi
}

# 8. Units: each frame of a caption as a code, and each code as a detector of words.
stage_units() {
  if lacks_discovery_split; then
    stage_skipped 8 units "the corpus has no split $discovery_split"
  elif stage 8 units "codes and word detectors" --stamp "$eval_dir/.stages" \
    --in "$model_dir/best.pt" --in "$eval_dir/$discovery_split/embed/embed.json" --maybe "$data/speech/*/ctm" \
    --out "$eval_dir/$discovery_split/units/*/codes.scp" --opt discovery_split --verb "dump_codes score_word_detectors score_segmentation"; then
    local lang
    for lang in "${language_list[@]}"; do
      "$recipe"/steps/dump_codes.sh --cmd "$train_cmd" --embed "$eval_dir/$discovery_split/embed" "$model_dir" "$data" "$discovery_split" "$lang" \
        "$eval_dir/$discovery_split/units/$lang"
      if [ -f "$data/speech/${discovery_split}_$lang/ctm" ]; then
        "$recipe"/steps/score_word_detectors.sh "$data/speech/${discovery_split}_$lang" "$eval_dir/$discovery_split/units/$lang"
        "$recipe"/steps/score_segmentation.sh "$data/speech/${discovery_split}_$lang" "$eval_dir/$discovery_split/units/$lang"
      fi
    done
    stage_done
  fi
}

# 9. The lexicon: where two captions of one image agree, clustered in each language, clusters linked across languages. With one
#    language: where its speakers agree about an image, or captions of images that look alike, each cluster with its evidence.
stage_lexicon() {
  local title="bilingual lexicon" verbs="find_peaks cluster_peaks link_clusters group_lexicons"
  ((${#language_list[@]} > 1)) || title="word clusters" verbs="find_peaks cluster_peaks rank_clusters"
  if lacks_discovery_split; then
    stage_skipped 9 lexicon "the corpus has no split $discovery_split"
  elif stage 9 lexicon "$title" --stamp "$lexicon_dir/.stages" \
    --in "$model_dir/best.pt" --in "$eval_dir/$discovery_split/embed/embed.json" --maybe "$data/lexicon.tsv" \
    --out "$lexicon_dir/*/lexicon.tsv" --opt "seed discovery_split" --verb "$verbs"; then
    local a b
    ((${#language_list[@]} > 1)) ||
      "$recipe"/steps/discover_lexicon.sh --nj "$nj" --cmd "$train_cmd" --seed "$seed" \
        "$eval_dir/$discovery_split/embed" "$data" "$discovery_split" "$langs" "$lexicon_dir/$langs"
    for a in "${!language_list[@]}"; do
      for ((b = a + 1; b < ${#language_list[@]}; b++)); do
        "$recipe"/steps/discover_lexicon.sh --nj "$nj" --cmd "$train_cmd" --seed "$seed" \
          "$eval_dir/$discovery_split/embed" "$data" "$discovery_split" "${language_list[a]}" "${language_list[b]}" \
          "$lexicon_dir/${language_list[a]}-${language_list[b]}"
      done
    done
    ((${#language_list[@]} < 3)) || "$recipe"/steps/group_lexicons.sh --cmd "$train_cmd" "$lexicon_dir"
    stage_done
  fi
}

# The page of the corpus that the model was trained on, as the training's stamp tells, is the model's own; others have theirs.
report_folder() {
  local trained=$result_dir/.stages/04-train.json
  if [ ! -v "option_given[model]" ] || { [ -f "$trained" ] && grep -qF "\"$data/images/train" "$trained"; }; then
    echo "$result_dir/report"
  else
    echo "$result_dir/report/$corpus"
  fi
}

# 10. One page: curves, retrieval, matchmaps, units and the picture dictionary.
stage_report() {
  local report_dir
  report_dir=$(report_folder)
  if stage 10 report "report" --stamp "$report_dir/.stages" \
    --maybe "$model_dir/metrics.jsonl" --in "$eval_dir/*/retrieval/results.json" --maybe "$eval_dir/*/retrieval/baselines.json" \
    --maybe "$eval_dir/*/matchmaps/localisation.json" --maybe "$eval_dir/*/matchmaps/captions.json" \
    --maybe "$data/speech/*/utt2share" \
    --maybe "$eval_dir/*/units/*/scores.json" --maybe "$lexicon_dir/*/scores.json" \
    --maybe "$lexicon_dir/*/lexicon.tsv" --out "$report_dir/index.html" --opt no_audio --verb make_report; then
    "$recipe"/steps/make_report.sh --no-audio "$no_audio" --results "$result_dir" "$model_dir" "$data" "$report_dir"
    echo "open $work/$report_dir/index.html in a browser"
    stage_done
  fi
}
