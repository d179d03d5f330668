# shellcheck shell=bash
# For tools that are one command of the library. They source it and hand over what they were called with:
#
#     . "$root/utils/verb.sh"
#     run_verb combine_data "$@"
#
# --help is answered by any Python, before there is an environment; everything else runs in that of path.sh.

# run_verb VERB ARGUMENT...: becomes python -m vgspeech.bin.VERB.
run_verb() {
  local verb=$1 word
  shift
  for word; do
    if [[ $word == --help || $word == -h ]]; then
      # shellcheck disable=SC2154  # $root is set by the tool
      PYTHONPATH=$root/pylib PYTHONUTF8=1 exec "${VGS_PYTHON:-python3}" -m "vgspeech.bin.$verb" --help
    fi
  done
  # shellcheck source=path.sh
  . "$root/path.sh"
  exec python -m "vgspeech.bin.$verb" "$@"
}
