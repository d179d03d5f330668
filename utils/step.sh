# shellcheck shell=bash
# What the scripts in steps/ and local/ share. They source it once their options and arguments are known:
#
#     . "$root/utils/step.sh"
#
# A script that is started by hand gets its environment here (recipes have sourced path.sh). Messages begin with the
# script's name.

# shellcheck source=/dev/null disable=SC2154  # $root is set by the script
[[ :${PYTHONPATH-}: == *:$root/pylib:* ]] || python -c 'import vgspeech' 2>/dev/null || . "$root/path.sh"
PATH=$root/utils:$PATH # run.pl, the default of --cmd

# A recipe's supervisor signals all processes at once. A step that ended there and then would take the recipe with it, and
# what still runs would be killed while it writes its checkpoint: it waits for its command, and passes its status on.
_end_with() { # STATUS-OF-LAST-COMMAND STATUS
  (($1 == 0)) || set -- "$1" "$1"
  exit "$2"
}
if [ -n "${VGS_SUPERVISOR-}" ]; then
  trap '_end_with $? 130' INT
  trap '_end_with $? 143' TERM
  trap '_end_with $? 129' HUP
fi

# say TEXT: a line for the user, or several.
say() {
  local line
  while IFS= read -r line; do printf '%s: %s\n' "${0##*/}" "$line"; done <<<"$*"
}

# fail STATUS TEXT [HINT]: what is wrong, and what to do next; ends the script.
fail() {
  printf '%s: error: %s\n' "${0##*/}" "$2" >&2
  [ $# -lt 3 ] || printf '  %s\n' "$3" >&2
  exit "$1"
}

# limit_jobs WHAT FILE...: the files list WHAT is to be shared out, one a line; sets nj to the length of the longest where it is
# larger. Ends with status 4 where a file is empty.
limit_jobs() {
  local what=$1 file lines most=0 longest=
  shift
  for file; do
    lines=$(wc -l <"$file")
    ((lines > 0)) || fail 4 "$file has no $what"
    if ((lines > most)); then most=$lines longest=${file%/*}; fi
  done
  if ((nj > most)); then
    say "$most jobs instead of $nj, because $longest has $most $what"
    nj=$most
  fi
}

# need_model DIR: ends with status 4 where DIR is not the directory of a trained model.
need_model() {
  [ ! -f "$1" ] || fail 4 "$1 is a file, and steps take a model directory" "if it is a packed model: utils/unpack_model.sh $1 exp/NAME"
  need_files "train the model first (stage 4)" "$1/config.yaml" "$1/best.pt"
}

# need_files HINT FILE...: ends with status 4 where one of the files is missing; HINT says what makes them.
need_files() {
  local hint=$1 file
  shift
  for file; do
    [ -f "$file" ] || fail 4 "no such file: $file" "$hint"
  done
}
