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
nj=4                     # number of parallel jobs, at most one an utterance
cmd=run.pl   # job runner
max_bad=0.01             # fraction of unusable recordings that is tolerated
allow_pipes=false        # run the commands that stand in wav.scp ("sph2pipe ... |"); read them first
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 2 ] || usage_error "expected two arguments, <speech-set> <front-end-config>"
# shellcheck source=/dev/null
python -c 'import vgspeech' 2>/dev/null || . "$root/path.sh"
data=$1 config=$2

for file in "$data/wav.scp" "$data/utt2spk" "$config"; do
  [ -f "$file" ] || { echo "make_fbank.sh: error: $file: no such file" >&2; exit 4; }
done
total=$(wc -l <"$data/utt2spk")
((total > 0)) || { echo "make_fbank.sh: error: $data/utt2spk: has no utterances" >&2; exit 4; }
if ((nj > total)); then
  echo "make_fbank.sh: $total jobs instead of $nj, because $data has $total utterances"
  nj=$total
fi

pipes=()
[ "$allow_pipes" = false ] || pipes=(--allow-pipes)
verb=(python -m vgspeech.bin.make_features --data-dir "$data" --config "$config" --num-jobs "$nj")
mkdir -p "$data/log"
$cmd JOB=1:"$nj" "$data/log/make_features.JOB.log" "${verb[@]}" --job JOB "${pipes[@]}"
sentence=$("${verb[@]}" --merge --max-bad "$max_bad")
[ -s "$data/feats.scp" ] || { echo "make_fbank.sh: error: $data/feats.scp was not made; see $data/log" >&2; exit 1; }
echo "make_fbank.sh: $sentence"
