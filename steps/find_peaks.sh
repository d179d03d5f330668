#!/usr/bin/env bash
# Search the captions that describe the same images in two languages, or those of several speakers of one language, for peaks:
# moments where both say something alike.
#
#   steps/find_peaks.sh [--nj N] <embed-dir> <speech-dir-a> [<speech-dir-b>] <out-dir>
#   e.g.: steps/find_peaks.sh exp/mini/eval/mini/train/embed data/mini/speech/train_en data/mini/speech/train_hi \
#           exp/mini/lexicon/mini/en-hi/jobs
#
# Writes <out-dir>/peaks.JOB.tsv and <out-dir>/<language>.JOB.ark; their union does not depend on the number of jobs.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
nj=4            # number of parallel jobs
pairs=auto      # shared: captions of the same image; nearest: of images that look alike, for languages without shared ones;
                # auto: shared, but in one language whose images mostly have captions of one speaker: nearest
detector=2d     # 2d: cells of the similarity of two captions; 1d: stretches of each caption's best match
background=20   # images whose captions give the response to unrelated speech, which is subtracted
relative=0.3    # a peak is at least this fraction of its pair's maximum
deviations=1.0  # and this many standard deviations above the pair's mean
per_pair=8      # at most this many peaks in a pair of captions
rough_from=10000 # images from which on responses come from bfloat16 products, where the processor is faster at them
seed=1          # chooses the unrelated captions
cmd=run.pl      # job runner
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 3 ] || [ $# -eq 4 ] ||
  usage_error "expected <embed-dir> <speech-dir-a> <speech-dir-b> <out-dir>, or only one speech directory"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"
embed=$1 out=${!#}
speech=("${@:2:$#-2}")

need_files "run the stage that makes it first (0: speech sets, 5: embeddings)" \
  "$embed/embed.json" "${speech[@]/%//utt2image}"

mkdir -p "$out/log"
rm -f "$out"/peaks.[0-9]*.tsv # of an earlier search, perhaps with more jobs
$cmd JOB=1:"$nj" "$out/log/find_peaks.JOB.log" python -m vgspeech.bin.find_peaks --job JOB --num-jobs "$nj" \
  --pairs "$pairs" --detector "$detector" --background "$background" --relative "$relative" \
  --deviations "$deviations" --per-pair "$per_pair" --rough-from "$rough_from" --seed "$seed" \
  "$embed" "${speech[@]}" "$out"

rows=0
for ((job = 1; job <= nj; job++)); do
  table=$out/peaks.$job.tsv
  [ -f "$table" ] || fail 1 "$table was not made, see $out/log/find_peaks.$job.log"
  rows=$((rows + $(wc -l <"$table") - 1))
done
# Within one language each peak stands there both ways.
say "$((rows * ${#speech[@]} / 2)) peaks from $nj jobs in $out"
