#!/bin/sh
# A stand-in for a coding agent: reads its task on stdin, edits, runs the tests, commits. The model is scripted; all else is real.
# Two of its kind have bad habits, as models do: whoever is asked for `clamp` skips the tests the first time, and whoever is
# asked for `repeat` thinks for a long while with work uncommitted (long enough to lose its pod).
set -eu
task=$(cat)
title=$(printf '%s\n' "$task" | sed -n 1p)
round=${GASTOWN_ROUND:-1}
attempt=${GASTOWN_ATTEMPT:-1}
say() { echo "agent: $*"; }
think() { sleep "${AGENT_THINK:-0.4}"; }
commit() { git add -A && git commit -q -m "$1" && say "committed: $1"; }

say "task: $title (round $round, attempt $attempt)"
if [ -n "${GASTOWN_EVIDENCE_FILE:-}" ] && [ -f "$GASTOWN_EVIDENCE_FILE" ]; then
    say "my work came back; reading the evidence"
    sed 's/^/  | /' "$GASTOWN_EVIDENCE_FILE" | head -n 20
fi
think

# part NAME BODY TEST...: one file in lib, one in tests.
part() {
    name=$1 body=$2
    shift 2
    printf '# %s\n%s\n' "$title" "$body" >"lib/$name.sh"
    : >"tests/$name.test.sh"
    for line in "$@"; do printf '%s\n' "$line" >>"tests/$name.test.sh"; done
}

run_tests() {
    say "running the tests"
    if ! ./test.sh >"${TMPDIR:-/tmp}/test.log" 2>&1; then
        tail -n 5 "${TMPDIR:-/tmp}/test.log"
        say "the tests are red and I do not know better"
        exit 1
    fi
    tail -n 1 "${TMPDIR:-/tmp}/test.log"
}

# On a conflict: start again from what main is now and make the same change to that.
onto_main() {
    say "somebody changed the same lines; replaying my change on main as it is now"
    edit=$1
    git rebase -q origin/main >/dev/null 2>&1 || {
        git checkout -q --ours lib/greet.sh
        sed -i.bak "$edit" lib/greet.sh && rm -f lib/greet.sh.bak
        git add -A
        GIT_EDITOR=true git rebase --continue >/dev/null
    }
}

greeting() { # greeting EDIT TESTFILE TESTLINE MESSAGE
    if [ "$round" -gt 1 ] && grep -q 'does not apply' "${GASTOWN_EVIDENCE_FILE:-/dev/null}"; then
        onto_main "$1"
    else
        sed -i.bak "$1" lib/greet.sh && rm -f lib/greet.sh.bak
        printf '%s\n' "$3" >"tests/$2.test.sh"
        think
        commit "$4"
    fi
    run_tests
}

case $title in
*'`upper`'*)
    part upper 'upper() { printf "%s\n" "$1" | tr "[:lower:]" "[:upper:]"; }' \
        'check "upper" ABC "$(upper abc)"' 'check "upper keeps digits" A1 "$(upper a1)"'
    run_tests && think && commit 'Add upper' ;;
*'`repeat`'*)
    if [ ! -f lib/repeat.sh ]; then
        part repeat 'repeat() { n=$1 out=; while [ "$n" -gt 0 ]; do out="$out $2"; n=$((n - 1)); done; printf "%s\n" "${out# }"; }' \
            'check "repeat" "a a a" "$(repeat 3 a)"'
        think && commit 'Add repeat'
        printf '%s\n' 'check "repeat once" a "$(repeat 1 a)"' >>tests/repeat.test.sh
        think && commit 'Test repeat once'
    fi
    if [ "$attempt" -eq 1 ]; then
        printf '\n- `repeat N WORD`: a word, N times\n' >>README.md
        say "README.md is edited but not committed; thinking for a long while"
        sleep "${AGENT_LONG_THOUGHT:-60}"
    fi
    if git diff --quiet -- README.md; then
        say "my edit of README.md did not survive; doing it again"
        printf '\n- `repeat N WORD`: a word, N times\n' >>README.md
    else
        say "my uncommitted edit of README.md is still here"
    fi
    run_tests && commit 'Mention repeat' ;;
*'`even`'*)
    part even 'even() { if [ "$(($1 % 2))" -eq 0 ]; then echo yes; else echo no; fi; }' \
        'check "even of two" yes "$(even 2)"' 'check "even of three" no "$(even 3)"'
    run_tests && think && commit 'Add even' ;;
*'`clamp`'*)
    if [ "$round" -eq 1 ]; then
        # The sides are mixed up, and nobody ran the tests.
        part clamp 'clamp() { min "$1" "$(max "$2" "$3")"; }' \
            'check "clamp leaves the middle" 5 "$(clamp 1 9 5)"' 'check "clamp cuts high" 9 "$(clamp 1 9 12)"'
        think && commit 'Add clamp'
    else
        say "the sides were mixed up: low goes with max, high with min"
        sed -i.bak 's/^clamp().*/clamp() { max "$1" "$(min "$2" "$3")"; }/' lib/clamp.sh && rm -f lib/clamp.sh.bak
        run_tests && think && commit 'Clamp: low goes with max, high with min'
    fi ;;
*'`words`'*)
    part words 'words() { printf "%s\n" "$1" | wc -w | tr -d " "; }' \
        'check "words of none" 0 "$(words "")"' 'check "words of two" 2 "$(words "two words")"'
    run_tests && think && commit 'Add words' ;;
*'`quote`'*)
    part quote 'quote() { printf "\"%s\"\n" "$1"; }' 'check "quote" "\"a b\"" "$(quote "a b")"'
    run_tests && think && commit 'Add quote' ;;
*'with a capital'*)
    greeting 's/hello/Hello/' greet-capital 'check "greet starts with a capital" H "$(greet Max | cut -c1)"' 'Greet with a capital' ;;
*'with an exclamation mark'*)
    greeting 's/%s/%s!/' greet-bang 'check "greet ends with a bang" ! "$(greet Max | sed "s/.*\(.\)$/\1/")"' 'Greet with an exclamation mark' ;;
*)
    say "I am a stand-in and know only the demo's eight tasks; use a real agent for: $title"
    exit 2 ;;
esac
say "done"
