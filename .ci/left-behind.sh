# shellcheck shell=bash
# What a test run leaves in the engine. Sourced, never run. The first argument is `ours` where
# nobody else uses the engine.

# Prints `container|network|volume NAME`, one a line: all of them in an engine of ours, else those of fleets.
list_engine() {
  local filter=(--filter label=fleet.id)
  [[ $1 != ours ]] || filter=()
  {
    docker container ls --all --format 'container {{.Names}}' "${filter[@]}"
    docker network ls --format 'network {{.Name}}' "${filter[@]}"
    docker volume ls --format 'volume {{.Name}}' "${filter[@]}"
  } | sort
}

# Prints what the engine holds now and did not hold when `list_engine` wrote the file $2.
new_in_engine() { list_engine "$1" | comm -13 "$2" -; }

# Removes what the lines on standard input name; containers come before the networks and volumes that they use.
remove_from_engine() {
  local kind name
  while read -r kind name; do
    case $kind in
      container) docker container rm --force --volumes "$name" ;;
      network | volume) docker "$kind" rm "$name" ;;
    esac >/dev/null </dev/null
  done
}
