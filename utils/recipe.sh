# shellcheck shell=bash
# What all recipes share: options, work directory, environment, and stages that know whether they are up to date.
# Source it at the top of egs/<recipe>/run.sh, after the recipe's own options:
#
#     #!/usr/bin/env bash
#     # One paragraph: what the recipe does. It is the beginning of --help.
#     set -euo pipefail
#     root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
#     # begin options
#     places_audio=      # folder of the Places Audio release
#     # end options
#     path_options="places_audio"
#     declare -A corpus_of=([places_audio]=places)                       # giving this option selects that corpus
#     declare -A default_config=([mini]=conf/mini.yaml [places]=conf/resdavenet.yaml)
#     . "$root/utils/recipe.sh"
#
#     if stage 1 features "log-mel features" --stamp "$data/.stages" \
#         --in "$data/speech/*/wav.scp" --in "$fbank_config" --out "$data/speech/*/feats.scp" --verb make_features; then
#       "$recipe"/steps/make_fbank.sh --nj "$nj" --cmd "$train_cmd" "$data"/speech/train_en
#       stage_done
#     fi
#
# Set by the recipe before, all optional: its own option block (a common option named there keeps the recipe's default),
# path_options (names of options that are paths), corpus_of, default_config ([other]=FILE allows any corpus name),
# stage_script (a script that is sourced later and holds stages too), check_options (a function that sees the variables below, but
# from cmd.sh, and refuses what is wrong before anything is set up).
#
# Variables afterwards, besides the options below: root, recipe (folder of run.sh), conf ($recipe/conf), work (the work
# directory, which is now the current directory), start_dir (where the user typed), data (data/$corpus), model_dir
# (exp/<config>[_corpus][_tag][_seedN], or --model), result_dir (where what is made with the model goes: model_dir, or
# exp/<model>_applied[_tag][_seedN] for a --model outside of the work directory or with a --tag or --seed),
# option_given[name], train_cmd, cuda_cmd and what else cmd.sh sets (--cmd replaces both). Paths that the user typed are
# absolute; data, result_dir and a model_dir in the work directory are relative to it, so that it can be moved.
#
# Functions: stage, stage_done (below), log TEXT, absolute_path PATH, usage_error TEXT.

# shellcheck disable=SC2034  # most of what is set here is for the recipe

set -E # functions and subshells fail as loudly as the recipe itself

_recipe_script=${BASH_SOURCE[1]}
_recipe_arguments=("$@")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
recipe=$(cd "$(dirname "$_recipe_script")" && pwd)
conf=$recipe/conf
start_dir=$PWD

# Scripts cannot see the defaults of options that come from the environment: only assignments count.
declare -A _recipe_defaults=()
while IFS= read -r _recipe_line; do
  _recipe_name=${_recipe_line%%$'\t'*}
  [[ -n $_recipe_name && -v $_recipe_name ]] && _recipe_defaults[$_recipe_name]=${!_recipe_name}
done < <(sed -n '/^# begin options/,/^# end options/s/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' "$_recipe_script")

# begin options
stage=           # first stage to run, a number or a name: run from there on, even over finished stages
  # (not given: run what is missing)
stop_stage=      # last stage to run, a number or a name
corpus=mini      # corpus to work on; mini is drawn and spoken on this machine
nj=              # number of parallel jobs (default: processors, at most 8)
ngpu=            # GPUs for training, 0 trains on the processor (default: 1 if there is one, else 0)
num_nodes=1      # machines for training, of a Slurm cluster when more than one; --ngpu counts those of all
train_config=    # model and training configuration (default: the corpus's own)
set=()           # a.b=c, changes one entry of the configuration; may be repeated
tag=             # name of an experiment, part of the model's folder
seed=1           # random seed; the mini corpus has its own
dir=             # work directory, holds data/ and exp/ (default: the recipe's folder)
model=           # folder of a trained model, used as it is (default: exp/<configuration>[_corpus][_tag][_seed] is trained)
  # what is made with one from outside of --dir, or with --tag or --seed, goes to exp/<model>_applied[_tag][_seed]
cmd=             # job runner, instead of those in cmd.sh
force=false      # run finished stages again from scratch; old results are moved aside
dry_run=false    # say what would be done and why, touch nothing
on_drift=stop    # when inputs or options changed since a stage ran: stop, rerun, ignore
max_bad=0.01     # fraction of unreadable recordings or images that a stage tolerates
no_audio=false   # leave recordings out of the report
config=          # read options from this file, one name=value a line; the command line wins
# end options

for _recipe_name in "${!_recipe_defaults[@]}"; do
  [[ $(declare -p "$_recipe_name") == 'declare -a'* ]] || printf -v "$_recipe_name" '%s' "${_recipe_defaults[$_recipe_name]}"
done

# ---- the list of stages, read from the scripts that hold them, so that they can be named before they are reached ----

declare -A _stage_number=() # name -> number
while read -r _recipe_line _recipe_name; do
  _stage_number[$_recipe_name]=$_recipe_line
done < <(sed -nE 's/^[[:space:]]*((el)?if )?stage ([0-9]+) ([A-Za-z_][A-Za-z0-9_-]*).*/\3 \4/p' "$_recipe_script" ${stage_script:+"$stage_script"})

_list_stages() {
  local name
  for name in "${!_stage_number[@]}"; do printf '%s %s\n' "${_stage_number[$name]}" "$name"; done | sort -n | paste -sd, - | sed 's/,/, /g'
}

options_epilogue() { printf '\nStages: %s\n' "$(_list_stages)"; }

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
(($# == 0)) || usage_error "unexpected argument \"$1\""

log() { printf '%(%F %T)T %s\n' -1 "$*"; }

# A path as the user typed it, made absolute; one place has one name, however it was typed (links keep theirs).
absolute_path() {
  [[ -n $1 ]] || return 0
  local path=$1 links=-s
  [[ $path == /* ]] || path=$start_dir/$path
  [[ /$path/ != */../* ]] || links=-P # what .. leads to is known only without links
  realpath -m "$links" -- "$path"
}

# _resolve_stage OPTION: the option's value as a number.
_resolve_stage() {
  local value=${!1} near numbers last
  if [[ $value =~ ^(0|-?[1-9][0-9]*)$ ]]; then
    mapfile -t numbers < <(printf '%s\n' "${_stage_number[@]}" | sort -n)
    last=${numbers[-1]:-0}
    # --stop-stage may be any large number, but a run from beyond the last stage would silently do nothing.
    [[ $1 == stop_stage ]] || ((value <= last)) || usage_error "--stage: no stage $value (stages: $(_list_stages))"
    return
  fi
  [[ -n $value ]] || return 0
  if [[ -z ${_stage_number[$value]-} ]]; then
    near=$(nearest_word "$value" "${!_stage_number[@]}")
    usage_error "--${1//_/-}: no stage \"$value\"${near:+; did you mean $near?} (stages: $(_list_stages))"
  fi
  printf -v "$1" '%s' "${_stage_number[$value]}"
}


_resolve_stage stage
_resolve_stage stop_stage
[[ -z $stage || -z $stop_stage || $stage -le $stop_stage ]] || usage_error "--stage $stage is after --stop-stage $stop_stage"

# ---- values that depend on others ----

if [[ -z $nj ]]; then
  nj=$(getconf _NPROCESSORS_ONLN)
  ((nj <= 8)) || nj=8
fi
[[ $nj =~ ^[1-9][0-9]*$ ]] || usage_error "--nj must be a whole number of at least 1, got \"$nj\""
if [[ -z $ngpu ]]; then
  ngpu=0
  if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then ngpu=1; fi
fi
[[ $ngpu =~ ^(0|[1-9][0-9]*)$ ]] || usage_error "--ngpu must be a whole number, got \"$ngpu\""
[[ $num_nodes =~ ^[1-9][0-9]*$ ]] || usage_error "--num-nodes must be a whole number of at least 1, got \"$num_nodes\""
[[ $seed =~ ^(0|[1-9][0-9]*)$ ]] || usage_error "--seed must be a whole number, got \"$seed\""
[[ $tag =~ ^[A-Za-z0-9._-]*$ ]] || usage_error "--tag may hold letters, digits and . _ - only, got \"$tag\""
[[ $on_drift =~ ^(stop|rerun|ignore)$ ]] || usage_error "--on-drift must be stop, rerun or ignore, got \"$on_drift\""
[[ $max_bad =~ ^(0(\.[0-9]*)?|1(\.0*)?|\.[0-9]+)$ ]] || usage_error "--max-bad must be a fraction between 0 and 1, got \"$max_bad\""

for _recipe_name in ${path_options-} train_config dir; do
  printf -v "$_recipe_name" '%s' "$(absolute_path "${!_recipe_name}")"
done

# A corpus's own path selects that corpus, never mini.
declare -p corpus_of &>/dev/null || declare -A corpus_of=()
if [[ ! -v option_given[corpus] ]]; then
  for _recipe_name in "${!corpus_of[@]}"; do
    [[ -v option_given[$_recipe_name] ]] || continue
    if [[ -v option_given[corpus] && $corpus != "${corpus_of[$_recipe_name]}" ]]; then
      usage_error "--${_recipe_name//_/-} belongs to corpus ${corpus_of[$_recipe_name]}, other options to $corpus: give --corpus"
    fi
    corpus=${corpus_of[$_recipe_name]}
    option_given[corpus]=1
  done
fi
[[ $corpus =~ ^[A-Za-z0-9._-]+$ && $corpus != .* ]] || usage_error "--corpus: \"$corpus\" cannot be the name of a folder"

declare -p default_config &>/dev/null || declare -A default_config=()
_corpus_config=${default_config[$corpus]-${default_config[other]-}}
if ((${#default_config[@]} > 0)) && [[ -z $_corpus_config ]]; then
  usage_error "no corpus \"$corpus\" in this recipe (there are: ${!default_config[*]})"
fi
_corpus_config=${_corpus_config:+$recipe/$_corpus_config}
if [[ -z $train_config ]]; then
  train_config=$_corpus_config
elif [[ ! -f $train_config ]]; then
  _recipe_name=$conf/${train_config##*/}
  [[ -f $_recipe_name ]] || _recipe_name=
  usage_error "--train-config: no such file: $train_config${_recipe_name:+; did you mean $_recipe_name?}"
fi

work=${dir:-$recipe}
data=data/$corpus
_experiment=${tag:+_$tag}
((seed == 1)) || _experiment+=_seed$seed
if [[ -n $model ]]; then
  # A model folder as it is called inside the work directory, or a path as typed.
  if [[ $model != /* && (-d $work/$model || ! -d $start_dir/$model) ]]; then model=$work/$model; fi
  model_dir=$(realpath -m -- "$(absolute_path "$model")")
  model_dir=${model_dir#"$(realpath -m -- "$work")"/}
  result_dir=$model_dir
  [[ $model_dir != /* && -z $_experiment ]] || result_dir=exp/${model_dir##*/}_applied$_experiment
else
  model_dir=${train_config##*/}
  model_dir=exp/${model_dir%.yaml}
  [[ $train_config == "$_corpus_config" && -v default_config[$corpus] ]] || model_dir+=_$corpus
  model_dir+=$_experiment
  result_dir=$model_dir
fi

if declare -F check_options >/dev/null; then check_options; fi

# ---- supervision, work directory, environment ----

if [[ ${VGS_SUPERVISOR-} != "$PPID" ]]; then
  command -v python3 >/dev/null || usage_error "python3 is needed (3.11, 3.12 or 3.13)"
  exec python3 "$root/utils/supervise.py" bash "$_recipe_script" "${_recipe_arguments[@]}"
fi

# The command to type again: as typed, but --force and --stage only as far as they still apply.
_resume_command() {
  local words=() word skip=false started=false
  for word in "${_recipe_arguments[@]}"; do
    if [[ $skip == true ]]; then
      skip=false
      [[ $word == --* ]] || continue
    fi
    case $word in
      --stage) started=true skip=true ;;
      --stage=*) started=true ;;
      --force) started=true skip=true ;;
      --force=*) started=true ;;
      *) words+=("$word") ;;
    esac
  done
  [[ $started == false || -z ${_stage_current-} ]] || words=(--stage "${_stage_current%% *}" "${words[@]}")
  printf '%q' "$0"
  ((${#words[@]} == 0)) || printf ' %q' "${words[@]}"
}

_on_error() {
  local status=$1 line=$2 command=$3 log='' last='' what="line $2"
  trap - ERR
  [[ $BASHPID == "$$" ]] || exit "$status" # a subshell: the recipe itself will report
  [[ -z ${_stage_current-} ]] || what="stage ${_stage_current%% *} (${_stage_current#* })"
  if [[ -s ${VGS_FAILURE_NOTE-} ]]; then
    { read -r log && read -r last; } <"$VGS_FAILURE_NOTE" || true
  fi
  _note_end "$status" "$log"$'\n'"$last"
  {
    if ((status == 85)); then
      echo "${0##*/}: $what was interrupted after $(_elapsed) and can be resumed"
    else
      echo "${0##*/}: $what failed after $(_elapsed) (exit $status)"
      # Statuses 2 to 4 mean that a message has said what is wrong.
      [[ -n $log || $status == [234] ]] || echo "  command: line $line: ${command%%$'\n'*}"
      [[ -z $log ]] || echo "  log:     $log"
      [[ -z $last ]] || echo "  error:   $last"
    fi
    echo "  resume:  $(_resume_command)"
  } >&2
  exit "$status"
}

_on_signal() { # STATUS-OF-LAST-COMMAND NAME STATUS
  trap - ERR
  trap '' INT TERM HUP
  local what=${_stage_current:+stage ${_stage_current%% *} (${_stage_current#* })}
  printf '%s: %s stopped by SIG%s after %s\n  resume:  %s\n' "${0##*/}" \
    "${what:-the run}" "$2" "$(_elapsed)" "$(_resume_command)" >&2
  if (($1 == 85)); then set -- 85 "$2" 85; fi
  _note_end "$3"
  exit "$3"
}

# _note_end STATUS [LOG-AND-ERROR]: leaves beside the stamps how the stage ended, for utils/show_progress.
_note_end() {
  [[ -n ${_stage_current-} && -v _stage_arguments ]] || return 0
  python3 -S -E "$root/utils/ledger.py" ended "${_stage_arguments[@]}" "--status=$1" "--told=${2-}" 2>/dev/null || true
}

_elapsed() {
  local seconds=$((SECONDS - ${_stage_started:-0}))
  printf '%d:%02d:%02d' $((seconds / 3600)) $((seconds / 60 % 60)) $((seconds % 60))
}

trap '_on_error $? $LINENO "$BASH_COMMAND"' ERR
trap '_on_signal $? INT 130' INT
trap '_on_signal $? TERM 143' TERM
trap '_on_signal $? HUP 129' HUP

if [[ $dry_run == true && ! -d $work ]]; then
  log "dry run: the work directory $work does not exist yet"
  _scratch=$(mktemp -d)
  trap 'rm -rf "$_scratch"' EXIT
  cd "$_scratch" || exit
else
  if [[ $dry_run == false ]] && ! { mkdir -p "$work" && [[ -w $work ]]; }; then
    usage_error "cannot write to the work directory $work: give another one with --dir"
  fi
  cd "$work" || exit
fi
work=$PWD

if [[ $dry_run == false ]]; then
  printf '# %q' "$0"
  ((${#_recipe_arguments[@]} == 0)) || printf ' %q' "${_recipe_arguments[@]}"
  printf '\n'
  VGS_FAILURE_NOTE=$(mktemp "${TMPDIR:-/tmp}/vgspeech.XXXXXX")
  export VGS_FAILURE_NOTE
  trap 'rm -f "$VGS_FAILURE_NOTE"' EXIT
  # shellcheck source=path.sh
  . "$root/path.sh" || exit
fi
train_cmd=run.pl cuda_cmd=run.pl
if [[ -f $recipe/cmd.sh ]]; then
  # shellcheck source=egs/hindi_english/cmd.sh
  . "$recipe/cmd.sh"
fi
[[ -z $cmd ]] || train_cmd=$cmd cuda_cmd=$cmd
for _recipe_name in "$train_cmd" "$cuda_cmd"; do
  if [[ $dry_run == false ]] && ! command -v "${_recipe_name%% *}" >/dev/null; then
    usage_error "job runner (--cmd or cmd.sh): there is no command ${_recipe_name%% *}"
  fi
done

# A site's own runner, such as Kaldi's queue.pl, hands its jobs little more than PATH, and lets them source the path.sh of
# the directory they run in: this writes one, unless there is one of the user's.
_path_for_jobs() {
  local program mark='# Written by vgspeech for the jobs of a site'"'"'s own job runner.'
  for program in "${train_cmd%% *}" "${cuda_cmd%% *}"; do
    program=$(command -v "$program") || continue
    [[ ! $program -ef $root/utils/run.pl && ! $program -ef $root/utils/slurm.pl ]] || continue
    if [[ ! -e path.sh || $(head -n 1 path.sh) == "$mark" ]]; then
      printf '%s\nexport VGS_JOB=1 VGS_PYTHON=%q\n. %q\n' "$mark" "$(command -v python)" "$root/path.sh" >".path.sh.$$"
      mv -f ".path.sh.$$" path.sh
    fi
    return
  done
}
[[ $dry_run == true ]] || _path_for_jobs

# ---- stages ----

_stage_list=$(_list_stages)
_stage_makers=()            # "NUMBER (NAME)<tab>PATTERN" of the outputs of the stages so far
_stage_planned=()           # outputs of the stages that a dry run would run
_stage_current=             # "NUMBER NAME" of the stage that runs
declare -A _stage_locks=()  # stamp folder -> descriptor of its lock file

# _option_value NAME: an option's value for the stamp. Of the changes a.b=c in an array neither their order nor one that a
# later one undoes makes a difference.
_option_value() {
  local -n _value=$1
  local -A _last=()
  local _item
  [[ $(declare -p "$1") == 'declare -a'* ]] || { printf '%s' "$_value" && return; }
  for _item in "${_value[@]}"; do _last[=${_item%%=*}]=$_item; done
  ((${#_last[@]} == 0)) || printf '%s\n' "${_last[@]}" | sort | paste -sd ' ' -
}

# stage NUMBER NAME TITLE --stamp DIR [--in PATTERN]... [--maybe PATTERN]... [--out PATTERN]... [--opt "NAME..."]...
#       [--verb "NAME..."]... [--aside PATTERN]... [--read FILE]
# True if the stage must run now; then do its work and call stage_done. Patterns are globs, quoted. --in files must exist
# (exit 4 otherwise), --maybe ones count when they do. --opt names shell variables and arrays the result depends on.
# --aside names results that --force moves away before the stage runs. --read is a file in which the stage itself says what
# else it read: JSON, path -> SHA-256 ("" where there was nothing to read). Exits 3 when the result is there but its inputs,
# options or verbs have changed (see --on-drift), 75 when another run is at work.
stage() {
  local number=$1 name=$2 title=$3 stamp='' mode=auto word status=0
  local -a outputs=()
  shift 3
  _stage_arguments=(--number "$number" --name "$name")
  while (($# > 1)); do
    case $1 in
      --stamp) stamp=$2 ;;
      --out) outputs+=("$2") ;;
      --opt)
        for word in $2; do
          _stage_arguments+=("--opt=$word=$(_option_value "$word")")
        done
        ;;
      --in | --maybe | --verb | --aside | --read) ;;
      *) usage_error "stage $number $name: unknown word $1 in run.sh" ;;
    esac
    [[ $1 == --opt ]] || _stage_arguments+=("$1=$2")
    shift 2
  done
  [[ $# == 0 && -n $stamp ]] || usage_error "stage $number $name: run.sh must give --stamp, and a value for every word"
  if [[ -n $stop_stage && $number -gt $stop_stage ]]; then return 1; fi
  if [[ -n $stage ]]; then
    if ((number < stage)); then mode=before; else mode=explicit; fi
  fi

  _stage_fd=-1
  if [[ $dry_run == false ]]; then _open_lock "$stamp"; fi
  set -- check "${_stage_arguments[@]}" "--title=$title" "--mode=$mode" "--on-drift=$on_drift" "--fd=$_stage_fd" \
    "--pid=$PPID" "--stages=$_stage_list" "--command=$(printf '%q ' "$0" "${_recipe_arguments[@]}")" "${_stage_makers[@]/#/--maker=}" \
    "${_stage_planned[@]/#/--planned=}"
  [[ $force == false ]] || set -- "$@" --force
  [[ $dry_run == false ]] || set -- "$@" --dry-run
  python3 -S -E "$root/utils/ledger.py" "$@" || status=$?
  _stage_makers+=("${outputs[@]/#/"$number ($name)"$'\t'}")
  case $status in
    0) ;;
    10) return 1 ;;
    *) exit "$status" ;;
  esac
  if [[ $dry_run == true ]]; then
    _stage_planned+=("${outputs[@]}")
    return 1
  fi
  _stage_current="$number $name"
  _stage_started=$SECONDS
  : >"$VGS_FAILURE_NOTE"
}

# Checks that the stage made what it promised, stamps it and says how long it took.
stage_done() {
  local status=0
  python3 -S -E "$root/utils/ledger.py" 'done' "${_stage_arguments[@]}" "--fd=$_stage_fd" || status=$?
  if ((status != 0)); then _on_error "$status" "${BASH_LINENO[0]}" stage_done; fi
  _stage_current=
}

# Opens the lock file of a stamp folder once per run. Children inherit the descriptor: the lock is held as long as
# anything of this run lives, and no longer.
_open_lock() {
  if [[ -z ${_stage_locks[$1]-} ]]; then
    local fd
    mkdir -p "$1"
    exec {fd}<>"$1/lock"
    _stage_locks[$1]=$fd
    export VGS_LOCK_FDS="${_stage_locks[*]}"
  fi
  _stage_fd=${_stage_locks[$1]}
}
