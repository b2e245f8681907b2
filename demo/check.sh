#!/bin/sh
# An independent judge of the demo: git and the test command, and nothing the town says of itself.
#   demo/check.sh [REPOSITORY [TEST COMMAND]]
# Recomputes from the bare repository: every value main has had is green, main only moved forward, each landed commit is the very
# one that was tested, each bead's change is present, and nothing else is. Exits 1 at the first claim that does not hold.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
repo=${1:-$here/../.demo/parts.git}
test_command=${2:-./test.sh}
[ -d "$repo" ] || { echo "check: no repository at $repo; run 'make demo' first" >&2; exit 2; }
repo=$(cd "$repo" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bare() { GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null git --git-dir="$repo" -c safe.directory='*' "$@"; }
fail() { echo "check: DISAGREES: $*"; exit 1; }

# git's own log of main in the repository that was pushed to: oldest first.
bare reflog show --format=%H main >"$scratch/newest" 2>/dev/null || fail "main has no log"
sed -n '1!G;h;$p' "$scratch/newest" >"$scratch/values"
total=$(wc -l <"$scratch/values" | tr -d ' ')
[ "$total" -ge 2 ] || fail "nothing ever landed on main"
[ "$(bare rev-parse main)" = "$(tail -n 1 "$scratch/values")" ] || fail "main is not the last value of its own log"

# The commits that were tested: each landing left the candidate it was.
bare for-each-ref --format='%(objectname)' refs/gastown/landed/ >"$scratch/tested"

green=0 before=
while read -r value; do
    short=$(printf %.7s "$value")
    if [ -n "$before" ]; then
        bare merge-base --is-ancestor "$before" "$value" || fail "main was rewritten: $short does not contain $(printf %.7s "$before")"
        grep -qx "$value" "$scratch/tested" || fail "main became $short, which is no commit that was tested (a wrong tree landed)"
    fi
    rm -rf "$scratch/tree"
    mkdir "$scratch/tree"
    bare archive "$value" | tar -xf - -C "$scratch/tree"
    (cd "$scratch/tree" && sh -c "$test_command") >"$scratch/log" 2>&1 || {
        grep '^not ok' "$scratch/log" | head -n 3
        fail "main was red at $short"
    }
    green=$((green + 1))
    before=$value
done <"$scratch/values"

# Each bead's change, seen by what it does on main as it is now.
cd "$scratch/tree"
for part in lib/*.sh; do . "./$part"; done
does() { # does BEAD EXPECTED COMMAND...
    bead=$1 expected=$2
    shift 2
    got=$("$@" 2>&1) || true
    [ "$got" = "$expected" ] || fail "$bead is missing from main: '$*' prints '$got', not '$expected'"
    beads=$((beads + 1))
}
beads=0
does pa-1 ABC upper abc
does pa-2 'a a a' repeat 3 a
grep -q 'repeat N WORD' README.md || fail "pa-2 is missing from main: README.md does not mention repeat"
does pa-3 yes even 2
does pa-4 9 clamp 1 9 12
does pa-5 2 words 'two words'
does pa-6 '"a b"' quote 'a b'
does pa-7 H sh -c '. ./lib/greet.sh; greet Max | cut -c1'
does pa-8 '!' sh -c '. ./lib/greet.sh; greet Max | sed "s/.*\(.\)$/\1/"'

# Nothing that a polecat committed was lost: the commits it made are on main, as patches.
first=$(sed -n 1p "$scratch/values")
for subject in 'Add upper' 'Add repeat' 'Test repeat once' 'Mention repeat' 'Add even' 'Add clamp' 'Clamp: low' 'Add words' 'Add quote' \
    'Greet with a capital' 'Greet with an exclamation'; do
    n=$(bare log --format=%s "$first..main" | grep -c "^$subject" || true)
    [ "$n" -eq 1 ] || fail "'$subject' is $n times on main; once is right"
done

echo "check: agrees. main had $total values, all $green green, each contains the one before, each landing is the commit that was tested, $beads of 8 beads are on it."
