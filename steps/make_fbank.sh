#!/usr/bin/env bash
# Features of a speech set, by parallel jobs.
#
#   steps/make_fbank.sh <speech-set> <front-end-config>
#   e.g.: steps/make_fbank.sh --nj 8 data/places/speech/train_en conf/fbank.yaml
#
# Reads wav.scp (or segments of it) and writes feats/<name>.scp with its archives, feats/<name>.yaml,
# feats/<name>.utt2num_frames and, when <name> is the default front end, the links feats.scp and utt2num_frames.
# Recordings that cannot be used are listed with the reason in feats/<name>.rejected; they stay in wav.scp.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
nj=4               # number of parallel jobs, at most one an utterance
cmd=run.pl         # job runner
max_bad=0.01       # fraction of unusable recordings that is tolerated
allow_pipes=false  # run the commands that stand in wav.scp ("sph2pipe ... |"); read them first
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 2 ] || usage_error "expected two arguments, <speech-set> <front-end-config>"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"
data=$1 config=$2

need_files "prepare the data first (stage 0)" "$data/wav.scp" "$data/utt2spk"
[ -f "$config" ] || usage_error "no such file: $config"
total=$(wc -l <"$data/utt2spk")
((total > 0)) || fail 4 "$data/utt2spk has no utterances"
if ((nj > total)); then
  say "$total jobs instead of $nj, because $data has $total utterances"
  nj=$total
fi

pipes=()
[ "$allow_pipes" = false ] || pipes=(--allow-pipes)
verb=(python -m vgspeech.bin.make_features --data-dir "$data" --config "$config" --num-jobs "$nj")
mkdir -p "$data/log"
$cmd JOB=1:"$nj" "$data/log/make_features.JOB.log" "${verb[@]}" --job JOB "${pipes[@]}"
sentence=$("${verb[@]}" --merge --max-bad "$max_bad")
[ -s "$data/feats.scp" ] || fail 1 "$data/feats.scp was not made, see $data/log"
say "$sentence"
