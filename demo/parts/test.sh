#!/bin/sh
# The whole suite: every tests/*.test.sh, POSIX sh only. Prints one line a test and exits 1 if any is red.
cd "$(dirname "$0")" || exit 1
passed=0 failed=0
check() { # check NAME EXPECTED ACTUAL
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok $1"
    else
        failed=$((failed + 1))
        echo "not ok $1: expected '$2', got '$3'"
    fi
}
for part in lib/*.sh; do . "./$part"; done
for suite in tests/*.test.sh; do . "./$suite"; done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
