#!/usr/bin/env bash
# reproduce.sh IMAGE...: builds images twice from nothing and compares the two. The base is the same in both; Debian's archive must
# not have moved in between. Nothing that is cached takes part: it may be of another day's archive.
set -euo pipefail
. "$(dirname "$0")/engine.sh"
find_engine

# digest NAME: of the configuration, which names every layer by what is in it.
digest() {
    case $ENGINE in
        buildah) buildah inspect --type image --format '{{.FromImageID}}' "$1" ;;
        *) "$ENGINE" image inspect --format '{{.Id}}' "$1" ;;
    esac
}

differ=0
for image in "$@"; do
    name=$(image_name "$image")
    NO_CACHE=1 images/build.sh "$image" >/dev/null
    first=$(digest "$name")
    NO_CACHE=1 images/build.sh "$image"
    second=$(digest "$name")
    if [ "$first" = "$second" ]; then
        echo "$name: twice $first"
    else
        echo "$name: first $first, then $second"
        differ=1
    fi
done
[ "$differ" = 0 ] || fail "two builds differ"
