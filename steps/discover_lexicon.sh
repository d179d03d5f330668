#!/usr/bin/env bash
# Discover a bilingual lexicon: peaks between captions of the same images, clustered per language, linked across languages.
# With one language: peaks between its speakers, or between captions of images that look alike, clustered, each cluster tested.
#
#   steps/discover_lexicon.sh [--nj N] <embed-dir> <data-dir> <split> <language-a> [<language-b>] <out-dir>
#   e.g.: steps/discover_lexicon.sh exp/mini/eval/mini/train/embed data/mini train en hi exp/mini/lexicon/mini/en-hi
#         steps/discover_lexicon.sh exp/mini/eval/mini/train/embed data/mini train en exp/mini/lexicon/mini/en
#
# Writes into <out-dir>: peaks.tsv, clusters_<language>.tsv, lexicon.tsv (every link, or cluster of the only language, and the
# evidence for it), exemplars.tsv (where to hear and see each) and scores.json. Word times (ctm) of the speech sets and the
# corpus's lexicon.tsv serve scoring only, and may be absent.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
nj=4                # number of parallel jobs
pairs=auto          # shared: captions of the same image; nearest: of images that look alike, for languages without shared ones;
                    # auto: shared, but in one language whose images mostly have captions of one speaker: nearest
detector=2d         # 2d: cells of the similarity of two captions; 1d: stretches of each caption's best match
background=20       # images whose captions give the response to unrelated speech, which is subtracted
num_clusters=0      # clusters of each language; 0: by the number of peaks, 500 at most
cluster_by=kmeans   # kmeans or birch
min_cluster_size=8  # smaller clusters are dropped,
max_spread=2.0      # and wider ones: mean of 1 - cosine to the centroid (2 drops none),
min_images=1        # and those from fewer images
min_speakers=1      # or speakers
by=dice             # what links are chosen by: dice, cosine or product
partners=1          # links a cluster may have; 1: mutual best only
fdr=0.05            # false discovery rate up to which a link (with one language, a cluster) is significant
lexicon=            # the true lexicon; by default lexicon.tsv of the corpus, if there is one
lemmas=             # inflected forms and their lemmas, for scoring; by default lemmas.tsv of the corpus, if there is one
stop_words=         # folder of lists of words, <language>.txt, that a second set of scores leaves out; by default local/stopwords
evidence_split=     # a split that was not trained on, embedded beside this one, for the evidence; by default the same split
seed=1              # of unrelated captions and clustering
cmd=run.pl          # job runner
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
if [ $# -ne 5 ] && [ $# -ne 6 ]; then
  usage_error "expected <embed-dir> <data-dir> <split> <language-a> <language-b> <out-dir>, or only one language"
fi
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"
embed=$1 data=$2 split=$3 out=${!#}
languages=("${@:4:$#-4}")
speech=("${languages[@]/#/$data/speech/${split}_}")

verb=link_clusters arguments=(--by "$by" --partners "$partners")
[ ${#languages[@]} -eq 2 ] || verb=rank_clusters arguments=()
[ -z "$lexicon" ] || arguments+=(--lexicon "$lexicon")
if [ ${#languages[@]} -eq 2 ]; then
  [ -z "$lemmas" ] || arguments+=(--lemmas "$lemmas")
  [ -n "$stop_words" ] || stop_words=$root/local/stopwords
  stopped=("$stop_words/${languages[0]%%-*}.txt" "$stop_words/${languages[1]%%-*}.txt")
  if [ -f "${stopped[0]}" ] && [ -f "${stopped[1]}" ]; then arguments+=(--stop-words "${stopped[@]}"); fi
elif [ -n "$lemmas$stop_words" ]; then
  usage_error "--lemmas and --stop-words score links of two languages; this is one"
fi
if [ -n "$evidence_split" ]; then
  arguments+=(--evidence-embed "$(dirname "$(dirname "$embed")")/$evidence_split/embed")
  arguments+=(--evidence-speech "${languages[@]/#/$data/speech/${evidence_split}_}")
fi

"$root/steps/find_peaks.sh" --nj "$nj" --pairs "$pairs" --detector "$detector" --background "$background" \
  --seed "$seed" --cmd "$cmd" "$embed" "${speech[@]}" "$out/jobs"
$cmd "$out/log/cluster_peaks.log" python -m vgspeech.bin.cluster_peaks --num-jobs "$nj" \
  --method "$cluster_by" --num-clusters "$num_clusters" --min-size "$min_cluster_size" --max-spread "$max_spread" \
  --min-images "$min_images" --min-speakers "$min_speakers" --seed "$seed" "${speech[@]}" "$out/jobs" "$out"
$cmd "$out/log/$verb.log" python -m "vgspeech.bin.$verb" --fdr "$fdr" --seed "$seed" "${arguments[@]}" \
  "$embed" "${speech[@]}" "$out"
mv "$out"/jobs/log/* "$out/log/"
rm -rf "$out/jobs"

[ -f "$out/scores.json" ] || fail 1 "$out/scores.json was not made, see $out/log/$verb.log"
grep '^warning: ' "$out/log/$verb.log" >&2 || true
say "$(grep "^$verb: " "$out/log/$verb.log" | tail -n 1 | cut -d ' ' -f 2-)"
