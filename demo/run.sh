#!/bin/sh
# The demo from beginning to end: a fresh repository, the town, and the independent judge. Run by `make demo`.
#   demo/run.sh GASTOWN [ARGUMENTS OF gastown demo]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
gastown=$1
shift
dir=${DEMO_DIR:-$here/../.demo}
rm -rf "$dir"
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
"$here/make-repo.sh" "$here/parts" "$dir/parts.git"
baseline=$(cd "$here/parts" && ./test.sh | tail -n 1 | sed 's/ passed, 0 failed/ tests green on main/')
"$gastown" demo --dir "$dir" --from "$here" --baseline "$baseline" "$@"
echo
"$here/check.sh" "$dir/parts.git"
shown=.demo
[ "$dir" = "$(cd "$here/.." && pwd)/.demo" ] || shown=$dir
cat <<END

Do not believe it, check it:   demo/check.sh            (only git and the test command)
  git -C $shown/parts.git log --oneline main
  git -C $shown/parts.git reflog main
  git -C $shown/parts.git for-each-ref refs/gastown
  cat $shown/summary.json
Next, on your own repository:  ./gastown up
END
