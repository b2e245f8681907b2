#!/bin/sh
# The judge, judged: on a repository where all is well check.sh agrees, and on each sabotaged one it must not.
# No town takes part: the eight changes are made here by the demo's agent and landed by hand, one by one.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=polecat GIT_AUTHOR_EMAIL=polecat@example.com GIT_COMMITTER_NAME=polecat GIT_COMMITTER_EMAIL=polecat@example.com
export AGENT_THINK=0 AGENT_LONG_THOUGHT=0

good=$scratch/good.git
"$here/make-repo.sh" "$here/parts" "$good"

# land REPO COMMIT: as the town does it: the branch and the proof, in one push.
land() {
    git push -q --atomic "$1" "$2:refs/heads/main" "$2:refs/gastown/landed/parts/$2"
}

work=$scratch/work
git clone -q "$good" "$work"
cd "$work"
agent() { # agent BEAD ROUND
    GASTOWN_ROUND=$2 GASTOWN_ATTEMPT=1 "$here/agent.sh" <"$here/tasks/$1.md" >"$scratch/agent.log" 2>&1 || {
        cat "$scratch/agent.log"
        echo "test-check: the agent failed at $1" >&2
        exit 1
    }
}
for bead in pa-1 pa-2 pa-3 pa-5 pa-6 pa-7 pa-8; do
    agent $bead 1
    land "$good" "$(git rev-parse HEAD)"
done
agent pa-4 1
agent pa-4 2
land "$good" "$(git rev-parse HEAD)"

passed=0 failed=0
expect() { # expect VERDICT WORDS REPO WHAT
    code=0
    "$here/check.sh" "$3" >"$scratch/out" 2>&1 || code=$?
    if { [ "$1" = agrees ] && [ $code -eq 0 ]; } || { [ "$1" = disagrees ] && [ $code -eq 1 ]; }; then
        if grep -q "$2" "$scratch/out"; then
            passed=$((passed + 1))
            echo "ok $4"
            return
        fi
    fi
    failed=$((failed + 1))
    echo "not ok $4: exit $code, said: $(tail -n 1 "$scratch/out")"
}
# sabotaged NAME: a copy of the good repository with a work tree on its main.
sabotaged() {
    repo=$scratch/$1.git
    cp -R "$good" "$repo"
    cd "$scratch"
    rm -rf "$work"
    git clone -q "$repo" "$work"
    cd "$work"
}
# commit_all MESSAGE: prints the commit.
commit_all() {
    git add -A
    git commit -q -m "$1"
    git rev-parse HEAD
}

expect agrees 'check: agrees' "$good" 'a good repository is agreed with'

sabotaged red
echo 'add() { echo 0; }' >>lib/number.sh
land "$repo" "$(commit_all 'Break add')"
expect disagrees 'main was red' "$repo" 'a red landing is seen'

sabotaged red-and-mended
echo 'add() { echo 0; }' >>lib/number.sh
land "$repo" "$(commit_all 'Break add')"
git revert --no-edit HEAD >/dev/null
land "$repo" "$(git rev-parse HEAD)"
expect disagrees 'main was red' "$repo" 'a red landing is seen although the next one mends it'

sabotaged lost
git rm -q lib/even.sh tests/even.test.sh
land "$repo" "$(commit_all 'Tidy up')"
expect disagrees 'pa-3 is missing' "$repo" 'a lost change is seen'

sabotaged rewritten
before=$(git rev-parse HEAD~1)
git -C "$repo" update-ref refs/heads/main "$before"
git -C "$repo" update-ref refs/heads/main "$(git rev-parse HEAD)"
expect disagrees 'main was rewritten' "$repo" 'a main that went back is seen'

sabotaged wrong-tree
echo '# not what was tested' >>lib/text.sh
git push -q "$repo" "$(commit_all 'A harmless comment'):refs/heads/main"
expect disagrees 'no commit that was tested' "$repo" 'a landing of another tree than the tested one is seen'

sabotaged amended
tip=$(git rev-parse HEAD)
other=$(git commit-tree "$tip^{tree}" -p HEAD~1 -m 'The same tree, another commit')
git -C "$repo" fetch -q "$work" "$other"
git -C "$repo" update-ref refs/heads/main "$other"
expect disagrees 'main was rewritten' "$repo" 'the same tree under a rewritten history is seen'

missing=$scratch/missing.git
"$here/make-repo.sh" "$here/parts" "$missing"
cd "$scratch"
rm -rf "$work"
git clone -q "$missing" "$work"
cd "$work"
for bead in pa-1 pa-2 pa-3 pa-5 pa-6 pa-7; do
    agent $bead 1
    land "$missing" "$(git rev-parse HEAD)"
done
agent pa-4 1
agent pa-4 2
land "$missing" "$(git rev-parse HEAD)"
expect disagrees 'pa-8 is missing' "$missing" 'a missing bead is seen'

sabotaged twice
git revert --no-edit HEAD >/dev/null
git cherry-pick HEAD~1 >/dev/null
land "$repo" "$(git rev-parse HEAD)"
expect disagrees 'once is right' "$repo" 'a change that landed twice is seen'

nothing=$scratch/nothing.git
"$here/make-repo.sh" "$here/parts" "$nothing"
expect disagrees 'nothing ever landed' "$nothing" 'a town that did nothing is seen'

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
