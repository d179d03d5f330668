#!/usr/bin/env bash
# Features of speech sets, by parallel jobs.
#
#   steps/make_fbank.sh <speech-set>... <front-end-config>
#   e.g.: steps/make_fbank.sh --nj 8 data/places/speech/train_en data/places/speech/dev_en conf/fbank.yaml
#
# Reads wav.scp (or segments of it) and writes feats/<name>.scp with its archives, feats/<name>.yaml,
# feats/<name>.utt2num_frames and, when <name> is the default front end, the links feats.scp and utt2num_frames.
# Recordings that cannot be used are listed with the reason in feats/<name>.rejected; they stay in wav.scp.
# Each job takes its share of every set; logs are in the first one's log/.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
nj=4               # number of parallel jobs, at most one an utterance of the largest set
cmd=run.pl         # job runner
max_bad=0.01       # fraction of unusable recordings that is tolerated
allow_pipes=false  # run the commands that stand in wav.scp ("sph2pipe ... |"); read them first
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -ge 2 ] || usage_error "expected two arguments or more, <speech-set>... <front-end-config>"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"
sets=("${@:1:$#-1}") config=${!#}

need_files "prepare the data first (stage 0)" "${sets[@]/%//wav.scp}" "${sets[@]/%//utt2spk}"
[ -f "$config" ] || usage_error "no such file: $config"
limit_jobs utterances "${sets[@]/%//utt2spk}"

pipes=()
[ "$allow_pipes" = false ] || pipes=(--allow-pipes)
verb=(python -m vgspeech.bin.make_features "${sets[@]/#/--data-dir=}" --config "$config" --num-jobs "$nj")
mkdir -p "$1/log"
$cmd JOB=1:"$nj" "$1/log/make_features.JOB.log" "${verb[@]}" --job JOB "${pipes[@]}"
told=$("${verb[@]}" --merge --max-bad "$max_bad")
say "$told"
for set in "${sets[@]}"; do
  [ -s "$set/feats.scp" ] || fail 1 "$set/feats.scp was not made, see $1/log"
done
