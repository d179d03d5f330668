#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Split a table (wav.scp, images.scp, ...) into pieces for parallel jobs: consecutive lines, sizes that differ by one at
# most. A table with fewer lines than pieces gives one piece a line, and the script says so. Prints the number of pieces.
#
# Usage: split_scp.sh <table> <number-of-pieces> <folder>
#  e.g.: nj=$(utils/split_scp.sh data/mini/speech/train_en/wav.scp 4 data/mini/speech/train_en/split)
#
# Makes <folder>/<name>.1.<suffix> and so on, wav.1.scp for wav.scp; pieces of an earlier split are removed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# begin options
# end options
. "$root/utils/parse_options.sh"
(($# == 3)) || usage_error "expected <table> <number-of-pieces> <folder>, got $# arguments"
table=$1 pieces=$2 folder=$3
[[ $pieces =~ ^[1-9][0-9]*$ ]] || usage_error "the number of pieces must be a whole number of at least 1, got \"$pieces\""

fail() { # STATUS TEXT
  printf 'split_scp.sh: %s\n' "$2" >&2
  exit "$1"
}
[[ -f $table ]] || fail 4 "no such file: $table"
lines=$(wc -l <"$table")
[[ -s $table ]] || fail 4 "$table is empty"
[[ -z $(tail -c 1 "$table") ]] || fail 4 "$table: the last line has no end of line; it may have been cut short"
if ((lines < pieces)); then
  printf 'split_scp.sh: %s has %d lines: using %d jobs instead of %d\n' "$table" "$lines" "$lines" "$pieces" >&2
  pieces=$lines
fi

name=${table##*/} suffix=
if [[ $name == *.* ]]; then
  suffix=.${name##*.}
  name=${name%.*}
fi
mkdir -p "$folder"
find "$folder" -maxdepth 1 -type f -name "$name.[0-9]*$suffix" -delete
awk -v lines="$lines" -v pieces="$pieces" -v prefix="$folder/.$name." -v suffix="$suffix" '
  NR > last { close(file); piece++; last = int(lines * piece / pieces); file = prefix piece suffix }
  { print > file }
' "$table"
for ((piece = 1; piece <= pieces; piece++)); do
  mv "$folder/.$name.$piece$suffix" "$folder/$name.$piece$suffix"
done
echo "$pieces"
