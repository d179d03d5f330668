# shellcheck shell=bash
# Command-line options for shell scripts, by Kaldi's conventions. Source it; do not run it.
#
#     # begin options
#     nj=4               # number of parallel jobs
#     norm=true          # normalise each utterance
#     set=()             # a.b=c, an entry of the configuration; may be repeated
#     # end options
#     . "$root/utils/parse_options.sh"
#
# The lines between the two marks are ordinary assignments, and they are the whole list of options: name, default and,
# after the `#`, the help. A line of the block that starts with `#` continues the help of the option above it. Nothing
# else can be set from the command line, so `--PATH x` is refused. Scripts that source the script which sources this
# file add their own blocks (a recipe adds to utils/recipe.sh).
#
# What is accepted:  --some-name VALUE, --some_name VALUE, --some-name=VALUE, --flag (true when the default is true or
# false), --config FILE (lines name=value, read and not executed; the command line wins), --help, -h, -- (end of
# options). An option that is an array may be repeated. The first other word ends the options; what follows stays in $@.
#
# A function options_epilogue, if there is one, adds to the help.
#
# Afterwards: option_given[name] is 1 for every option that was given; `usage_error TEXT` prints TEXT and how to get help
# and ends with status 2, as does every mistake found here.

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
  echo "$0: bash 4.4 or newer is needed, this is $BASH_VERSION (macOS: brew install bash)" >&2
  exit 2
fi

declare -A option_given=() # name -> 1
declare -A option_help=()  # name -> text
declare -A option_flag=()  # name -> 1 for those whose default is true or false
option_names=()            # in the order of the help

options_script=${0##*/}

usage_error() {
  printf '%s: %s\n' "$options_script" "$*" >&2
  printf '  %s --help lists the options\n' "$0" >&2
  exit 2
}

# The option blocks of one script: "name<TAB>help" lines, and "<TAB>text" for a line that continues the help.
options_of() {
  local line inside=false
  local option='^[[:space:]]*([A-Za-z_][A-Za-z0-9_]*)=(.*)$'
  while IFS= read -r line || [[ -n $line ]]; do
    case $line in
      '# begin options'*) inside=true ;;
      '# end options'*) inside=false ;;
      *)
        [[ $inside == true ]] || continue
        if [[ $line =~ $option ]]; then
          local name=${BASH_REMATCH[1]} rest=${BASH_REMATCH[2]}
          [[ $rest == *' # '* ]] && rest=${rest#*' # '} || rest=
          printf '%s\t%s\n' "$name" "$rest"
        elif [[ $line =~ ^[[:space:]]*#[[:space:]]*(.*)$ ]]; then
          printf '\t%s\n' "${BASH_REMATCH[1]}"
        fi
        ;;
    esac
  done <"$1"
}

# Collect the blocks of every script on the way here, the outermost first; the first to declare a name explains it.
options_collect() {
  local index line name text last=
  for ((index = ${#BASH_SOURCE[@]} - 1; index > 0; index--)); do
    while IFS= read -r line; do
      name=${line%%$'\t'*} text=${line#*$'\t'}
      if [[ -z $name ]]; then
        [[ -n $last ]] && option_help[$last]+=$'\n'$text
      elif [[ -v option_help[$name] ]]; then
        last=
      else
        last=$name
        option_names+=("$name")
        option_help[$name]=$text
      fi
    done < <([[ -f ${BASH_SOURCE[index]} ]] && options_of "${BASH_SOURCE[index]}")
  done
  return 0
}

# In the functions below that read or set the script's variables, local names start with an underscore: an option may be
# called `name` or `value`.
option_is_array() { [[ $(declare -p "$1" 2>/dev/null) == 'declare -a'* ]]; }

# What the script says about itself: $help_message, or the comment at its top.
options_about() {
  if [[ -n ${help_message-} ]]; then
    printf '%s\n' "$help_message"
    return
  fi
  local line begun=false
  while IFS= read -r line; do
    [[ $line == '#'* ]] || break
    [[ $line == '#!'* || $line == '# shellcheck'* || $line == '# Copyright'* ]] && continue
    line=${line#'#'}
    [[ -n $line || $begun == true ]] || continue
    begun=true
    printf '%s\n' "${line# }"
  done <"$0"
}

options_show() {
  local _name _shown _line
  options_about
  printf '\nOptions (with the values they have when not given):\n'
  for _name in "${option_names[@]}"; do
    if option_is_array "$_name"; then
      local -n _values=$_name
      _shown=${_values[*]-}
    else
      _shown=${!_name-}
    fi
    [[ $_name != config ]] || continue
    printf '  --%s\n' "${_name//_/-}${_shown:+ $_shown}"
    while IFS= read -r _line; do
      [[ -n $_line ]] && printf '        %s\n' "$_line"
    done <<<"${option_help[$_name]}"
  done
  printf '  --config FILE\n        read options from FILE, one name=value a line; the command line wins\n'
  if declare -F options_epilogue >/dev/null; then options_epilogue; fi
}

# Number of single-character edits between two words (Levenshtein).
edit_distance() {
  local a=$1 b=$2 i j cost best
  local -a previous current
  for ((j = 0; j <= ${#b}; j++)); do previous[j]=$j; done
  for ((i = 1; i <= ${#a}; i++)); do
    current[0]=$i
    for ((j = 1; j <= ${#b}; j++)); do
      [[ ${a:i-1:1} == "${b:j-1:1}" ]] && cost=0 || cost=1
      best=$((previous[j - 1] + cost))
      ((previous[j] + 1 < best)) && best=$((previous[j] + 1))
      ((current[j - 1] + 1 < best)) && best=$((current[j - 1] + 1))
      current[j]=$best
    done
    previous=("${current[@]}")
  done
  echo "${previous[${#b}]}"
}

# The word nearest to $1 among the others, when it is near enough to be a slip; else nothing.
nearest_word() {
  local wanted=$1 word distance best=
  local limit=$((${#wanted} / 3 + 1))
  shift
  for word; do
    distance=$(edit_distance "$wanted" "$word")
    if ((distance <= limit)); then
      limit=$((distance - 1)) best=$word
    fi
  done
  printf '%s' "$best"
}

# option_set NAME VALUE SHOWN: check and assign; SHOWN is how the user wrote it.
option_set() {
  local _name=$1 _value=$2 _shown=$3
  if [[ -v option_flag[$_name] ]]; then
    [[ $_value == true || $_value == false ]] || usage_error "$_shown: expected \"true\" or \"false\", got \"$_value\""
  fi
  if [[ -z $_value && ($_name == cmd || $_name == *_cmd) ]]; then
    usage_error "$_shown: the value is empty; give the job runner, for example $_shown run.pl"
  fi
  if option_is_array "$_name"; then
    local -n _list=$_name
    _list+=("$_value")
  else
    printf -v "$_name" '%s' "$_value"
  fi
  # shellcheck disable=SC2034  # read by the scripts that source this file
  option_given[$_name]=1
}

# option_name WORD SHOWN: sets option_found to the declared name, or ends with a message.
option_name() {
  option_found=${1//-/_}
  # Only plain names may become subscripts: bash would execute $(...) in others.
  if [[ $option_found =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then
    [[ $option_found == config || -v option_help[$option_found] ]] && return
  fi
  local near
  near=$(nearest_word "$option_found" "${option_names[@]}" config help)
  usage_error "invalid option $2${near:+; did you mean --${near//_/-}?}"$'\n'"  options: $(
    for name in "${option_names[@]}"; do [[ $name == config ]] || printf -- '--%s ' "${name//_/-}"; done
  )--config --help"
}

# Options from a file of name=value lines. Values may be quoted; nothing in them is expanded or executed.
option_file() {
  local _file=$1 _line _number=0 _value
  [[ -f $_file && -r $_file ]] || usage_error "--config: no such file: $_file"
  while IFS= read -r _line || [[ -n $_line ]]; do
    _number=$((_number + 1))
    _line=${_line%$'\r'}
    [[ $_line =~ ^[[:space:]]*(#.*)?$ ]] && continue
    if [[ ! $_line =~ ^[[:space:]]*(--)?([A-Za-z_][A-Za-z0-9_-]*)[[:space:]]*=[[:space:]]*(.*)$ ]]; then
      usage_error "$_file:$_number: expected name=value, got \"$_line\""
    fi
    _value=${BASH_REMATCH[3]}
    option_name "${BASH_REMATCH[2]}" "\"${BASH_REMATCH[2]}\" in $_file:$_number"
    if [[ $_value =~ ^\"([^\"]*)\"[[:space:]]*(#.*)?$ || $_value =~ ^\'([^\']*)\'[[:space:]]*(#.*)?$ ]]; then
      _value=${BASH_REMATCH[1]}
    else
      [[ $_value =~ ^(.*[^[:space:]])[[:space:]]+#.*$ ]] && _value=${BASH_REMATCH[1]}
      _value=${_value%"${_value##*[![:space:]]}"}
    fi
    option_set "$option_found" "$_value" "$_file:$_number"
  done <"$_file"
}

options_collect
for option_word in "${option_names[@]}"; do
  [[ ${!option_word-} == true || ${!option_word-} == false ]] && ! option_is_array "$option_word" && option_flag[$option_word]=1
done

# --config files first, wherever they stand among the options, so that the command line wins.
option_index=1
while ((option_index <= $#)); do
  option_word=${!option_index}
  case $option_word in
    --) break ;;
    --config=*) option_file "${option_word#*=}" ;;
    --config)
      option_index=$((option_index + 1))
      ((option_index <= $#)) || usage_error "option --config needs a value"
      option_file "${!option_index}"
      ;;
  esac
  option_index=$((option_index + 1))
done

while (($# > 0)); do
  case $1 in
    --help | -h)
      options_show
      exit 0
      ;;
    --)
      shift
      break
      ;;
    --*=*)
      option_word=${1%%=*}
      option_name "${option_word#--}" "$option_word"
      if [[ $option_found == config && ! -v option_help[config] ]]; then
        shift
        continue
      fi
      option_set "$option_found" "${1#*=}" "$option_word"
      shift
      ;;
    --*)
      option_name "${1#--}" "$1"
      if [[ -v option_flag[$option_found] ]] && [[ $# == 1 || $2 == --* ]]; then
        option_set "$option_found" true "$1"
        shift
        continue
      fi
      (($# > 1)) || usage_error "option $1 needs a value"
      [[ $2 != --* ]] || usage_error "option $1 needs a value, but \"$2\" looks like the next option (write $1=$2 if it is meant)"
      if [[ $option_found != config || -v option_help[config] ]]; then
        option_set "$option_found" "$2" "$1"
      fi
      shift 2
      ;;
    -[!0-9]*) usage_error "invalid option $1 (options start with two dashes)" ;;
    *) break ;;
  esac
done
unset option_index option_word option_found
