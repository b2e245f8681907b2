#!/bin/sh
# Every test program of the workspace but the scenarios, and the judge of the demo, some at a time and the longest first: cargo
# runs one after another, and most of ours wait for processes of theirs. One line a program as it ends; what those that failed said
# stands last. No crate has examples in its documentation that could be run. The scenarios are played by `make e2e`, on several kinds
# of cluster: BACKEND=apiserver needs no more than this does.
#
# cargo is asked for the programs with this script as their runner: it writes down how each is to be run, and runs none.
set -eu

# A program that is not here is run all the same.
LONGEST="one_machine queue remotes simulator transcripts properties polecat bad_days test-check kubectl paused rights reports"
# More at once than there are processors: most of them wait.
JOBS=${JOBS:-4}
CARGO=${CARGO:-cargo}
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-4}"

case ${1:-} in
--note) # PROGRAM: cargo's environment and folder for it
    file=$TEST_PLAN/$CARGO_PKG_NAME.$(basename "$2" | sed 's/-[0-9a-f]*$//').$(basename "$2" | sed 's/.*-//')
    { export -p && printf 'cd "%s" && exec "%s"\n' "$PWD" "$2"; } >"$file.sh"
    exit
    ;;
--run) # FILE
    name=$(basename "$2" | sed 's/\.[0-9a-f]*\.sh$//')
    began=$(date +%s)
    code=0
    sh "$2" >"$2.log" 2>&1 || code=$?
    said=$(sed -n 's/^test result: ok\. \([0-9]* passed\);.*/\1/p' "$2.log" | tail -n 1)
    [ "$code" = 0 ] || { said="FAILED ($code)" && mv "$2.log" "$2.failed"; }
    printf '%5d s  %s: %s\n' $(($(date +%s) - began)) "$name" "${said:-done}"
    grep -h SKIPPED "$2".* || true
    exit "$code"
    ;;
esac

self=$(cd "$(dirname "$0")" && pwd)/test.sh
plan=$(mktemp -d)
trap 'rm -rf "$plan"' EXIT
"$CARGO" test --locked --workspace --lib --bins --tests --no-run
TEST_PLAN=$plan "$CARGO" --config "target.'cfg(all())'.runner = ['$self', '--note']" \
    test --locked --workspace --lib --bins --tests --quiet

echo "exec '${self%/e2e/*}/demo/test-check.sh'" >"$plan/demo.test-check.0.sh"
rm "$plan"/gastown-scenarios.scenarios.*
list() {
    for name in $LONGEST; do
        find "$plan" -name "*.$name.*.sh"
    done
    find "$plan" -name '*.sh' | sort
}
list | awk '!seen[$0]++' | xargs -n 1 -P "$JOBS" "$self" --run && exit

for log in "$plan"/*.failed; do
    printf '\n== %s\n' "$(basename "$log" | sed 's/\.[0-9a-f]*\.sh\.failed$//')"
    cat "$log"
done
exit 1
