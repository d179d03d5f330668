#!/usr/bin/env bash
# Train a grounding model, or go on with a training that was stopped; a finished one says so.
#
#   steps/train.sh [options] <config> <data-dir> <model-dir>
#   e.g.: steps/train.sh --ngpu 1 --set training.epochs=40 conf/mini.yaml data/mini exp/mini
#
# Reads the train and dev splits of <data-dir> (features of stage 1, packed images of stage 2) and writes
# <model-dir>/config.yaml (resolved), training.json, metrics.jsonl (a line an epoch), train.log, checkpoints/ and best.pt.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
ngpu=0                  # GPUs on all machines together, one process each; 0 trains on the processor
num_nodes=1             # machines; more than one needs slurm.pl
num_processes=          # processes on all machines together when ngpu is 0 (default: one a machine)
num_threads=            # processor threads of each process (default: as at the first start, else all)
cmd=run.pl  # job runner
init_from=              # model directory or weights file to start from; what it lacks starts afresh
seed=                   # random seed (default: the configuration's)
set=()                  # a.b=c, changes one entry of the configuration; may be repeated
train_split=train       # split to train on
dev_split=dev           # split that chooses best.pt; none takes the last epoch
force=false             # train afresh; the old model directory is renamed to <model-dir>.old
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 3 ] || usage_error "expected three arguments, <config> <data-dir> <model-dir>"
config=$1 data=$2 model=$3
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

[ -f "$config" ] || usage_error "no such file: $config"
for folder in "$data/speech" "$data/images/$train_split"; do
  if [ ! -d "$folder" ]; then
    echo "$0: no such folder: $folder" >&2
    echo "  prepare the data first (stages 0 to 2)" >&2
    exit 4
  fi
done
if [ "$dev_split" != none ] && [ ! -d "$data/images/$dev_split" ]; then
  echo "$0: $data has no split $dev_split: best.pt will be the last epoch"
  dev_split=none
fi
if [ "$force" = true ] && [ -e "$model" ]; then
  old=$model.old number=1
  while [ -e "$old" ]; do
    number=$((number + 1)) old=$model.old$number
  done
  mv "$model" "$old"
  echo "$0: moved $model to $old"
fi

arguments=(--config "$config" --data "$data" --out "$model" --ngpu "$ngpu" --train-split "$train_split" --dev-split "$dev_split")
[ -z "$init_from" ] || arguments+=(--init-from "$init_from")
[ -z "$seed" ] || arguments+=(--seed "$seed")
[ -z "$num_threads" ] || arguments+=(--num-threads "$num_threads")
for override in "${set[@]}"; do arguments+=(--set "$override"); done

# The runner's options count for one machine.
((ngpu == 0)) || num_processes=$ngpu
num_processes=${num_processes:-$num_nodes}
((num_processes % num_nodes == 0)) ||
  usage_error "$num_processes processes cannot be shared out evenly to --num-nodes $num_nodes"
per_node=$((num_processes / num_nodes))
resources=()
((ngpu == 0)) || resources+=(--gpu "$per_node")
((num_nodes == 1)) || resources+=(--num-nodes "$num_nodes")
if [ -n "$num_threads" ]; then
  resources+=(--num-threads $((num_threads * per_node)))
elif [[ $cmd != *--num-threads* ]]; then
  resources+=(--num-threads "$(getconf _NPROCESSORS_ONLN)")
fi
launcher=(python)
((num_processes == 1)) ||
  launcher+=("$root/utils/launch_training.py" --processes "$num_processes" --nodes "$num_nodes" --)
mkdir -p "$model/log"
rm -f "$model/checkpoints/interrupted" # of an earlier run, which may have been stopped by a signal
status=0
$cmd "${resources[@]}" "$model/log/train.log" "${launcher[@]}" -m vgspeech.bin.train "${arguments[@]}" || status=$?
if ((status == 1)) && [ -e "$model/checkpoints/interrupted" ]; then
  status=85 # a runner such as Kaldi's queue.pl turns every failure of its jobs into 1
fi
[ "$status" -eq 0 ] || exit "$status"
if [ ! -s "$model/best.pt" ]; then
  echo "$0: training ended without $model/best.pt, see $model/log/train.log" >&2
  exit 1
fi
grep -E '^(Trained|Training)' "$model/log/train.log" | tail -n 1
