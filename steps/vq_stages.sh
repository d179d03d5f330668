# shellcheck shell=bash disable=SC2154  # sourced by egs/*/run_vq.sh after utils/recipe.sh, which sets the variables used here
# Stages of run_vq.sh, the same in every recipe: ResDAVEnet-VQ by the released warm-start chain {} -> {2} -> {2,3} (Harwath,
# Hsu, Glass 2020). Each link starts from the weights of the one before, with a new optimiser and schedule.
#
# From run_vq.sh: langs, start, codebook_size, codebook_start, discovery_split; the other variables: utils/recipe.sh.

base=${model_dir/_vq23/} # exp/mini with conf/mini_vq23.yaml; tag and seed stay
: "${start:=$base}"
front_end=$(sed -n 's/^front_end: *\([A-Za-z0-9_-]*\).*/\1/p' "$train_config")
read -r -a language_list <<<"$langs"
[ -n "$codebook_size" ] || codebook_size=$(sed -n 's/^  codebook_size: *\([0-9]*\).*/\1/p' "$train_config")
vq_eval=${base}_vq23/eval/$corpus
layers_dir=$vq_eval/$discovery_split/layers # <language>/<units>/: codes of each quantiser, k-means of the layer below it

# train_link START POSITIONS MODEL: one link of the chain.
train_link() {
  local override overrides=() dev_split
  dev_split=$(cd "$data/images" && printf '%s\n' dev* | head -n 1)
  [ -d "$data/images/$dev_split" ] || dev_split=none
  for override in "${set[@]}" "audio.quantizers=$2" "audio.codebook_size=$codebook_size" \
    "training.codebook_start=$codebook_start"; do
    overrides+=(--set "$override")
  done
  "$recipe"/steps/train.sh --init-from "$1" --ngpu "$ngpu" --num-nodes "$num_nodes" --cmd "$cuda_cmd" --seed "$seed" \
    "${overrides[@]}" --dev-split "$dev_split" "$train_config" "$data" "$3"
}

# 1. A quantiser after the first residual stage: frames of 20 ms with the released stem.
stage_vq2() {
  if stage 1 vq2 "train with quantiser 2, from $start" --stamp "${base}_vq2/.stages" \
    --in "$start/best.pt" --in "$train_config" --in "$data/speech/train*/feats/$front_end.scp" \
    --in "$data/images/train*/packed.scp" --out "${base}_vq2/best.pt" --opt "set seed codebook_size codebook_start" \
    --verb train --aside "${base}_vq2"; then
    train_link "$start" "[2]" "${base}_vq2"
    stage_done
  fi
}

# 2. One more after the second stage: frames of 40 ms.
stage_vq23() {
  if stage 2 vq23 "train with quantisers 2 and 3, from ${base}_vq2" --stamp "${base}_vq23/.stages" \
    --in "${base}_vq2/best.pt" --in "$train_config" --in "$data/speech/train*/feats/$front_end.scp" \
    --in "$data/images/train*/packed.scp" --out "${base}_vq23/best.pt" --opt "set seed codebook_size codebook_start" \
    --verb train --aside "${base}_vq23"; then
    train_link "${base}_vq2" "[2,3]" "${base}_vq23"
    stage_done
  fi
}

# 3. Retrieval, and the codes of the last quantiser as word detectors: stages 5 to 8 of run.sh.
stage_evaluate() {
  if stage 3 evaluate "evaluate ${base}_vq23" --stamp "${base}_vq23/.stages" --in "${base}_vq23/best.pt" \
    --opt discovery_split --out "$vq_eval/*/retrieval/results.json" --out "$vq_eval/*/units/*/codes.scp"; then
    # The corpus is the user's affair: it may have been made with options that this script does not know.
    "$recipe"/run.sh --on-drift ignore --corpus "$corpus" --model "${base}_vq23" --dir "$work" --nj "$nj" \
      ${cmd:+--cmd "$cmd"} --discovery-split "$discovery_split" --stage 5 --stop-stage 8
    stage_done
  fi
}

# units_of MODEL LAYER LANGUAGE OUT: codes, and what they are worth.
units_of() {
  local speech=$data/speech/${discovery_split}_$3
  "$recipe"/steps/dump_codes.sh --cmd "$train_cmd" --layer "$2" --num-codes "$codebook_size" \
    --embed "$vq_eval/$discovery_split/embed" "$1" "$data" "$discovery_split" "$3" "$4"
  if [ -f "$speech/ctm" ]; then
    "$recipe"/steps/score_word_detectors.sh --cmd "$train_cmd" "$speech" "$4"
    "$recipe"/steps/score_segmentation.sh --cmd "$train_cmd" "$speech" "$4"
  fi
}

# 4. Every quantiser beside k-means of the same layer in the model that the chain started from, with as many codes.
stage_layers() {
  if stage 4 layers "quantisers beside k-means of the layers that they quantise" --stamp "${base}_vq23/.stages" \
    --in "${base}_vq23/best.pt" --in "$start/best.pt" --in "$vq_eval/$discovery_split/embed/embed.json" \
    --maybe "$data/speech/*/ctm" --opt "discovery_split codebook_size no_audio" --out "$layers_dir/*/index.html" \
    --verb "dump_codes score_word_detectors score_segmentation compare_units make_unit_report"; then
    local lang position out pages
    for lang in "${language_list[@]}"; do
      out=$layers_dir/$lang pages=()
      for position in 2 3; do
        units_of "$start" "stage$((position - 1))" "$lang" "$out/kmeans$position"
        units_of "${base}_vq23" "codes$position" "$lang" "$out/codes$position"
        pages+=(--units "quantiser $position=$out/codes$position" --units "k-means below $position=$out/kmeans$position")
      done
      if [ -f "$data/speech/${discovery_split}_$lang/ctm" ]; then
        "$recipe"/steps/compare_units.sh "$out/codes3" "$out/kmeans3" "$out"
      fi
      "$recipe"/steps/make_unit_report.sh --no-audio "$no_audio" "${pages[@]}" "${base}_vq23" "$data" "$discovery_split" \
        "$lang" "$out"
    done
    stage_done
  fi
}

# 5. ABX errors of every layer beside log-mel, on the test split's phones.
stage_abx() {
  if ! compgen -G "$data/speech/test_*/ctm_phones" >/dev/null; then
    [ "$dry_run" = true ] || echo "stage 5 abx: skipped, $data/speech/test_* has no phone times (ctm_phones)"
  elif stage 5 abx "ABX errors of every layer" --stamp "${base}_vq23/.stages" --in "${base}_vq23/best.pt" \
    --in "$data/speech/test_*/ctm_phones" --out "$vq_eval/test/abx/*/abx.tsv" --verb score_abx; then
    local lang
    for lang in "${language_list[@]}"; do
      "$recipe"/steps/score_abx.sh --cmd "$train_cmd" "${base}_vq23" "$data" test "$lang" "$vq_eval/test/abx/$lang"
    done
    stage_done
  fi
}
