#!/bin/sh
# Whether an API server would take these files: YAML with or without placeholders, Markdown with manifests, folders of either.
# Strict: unknown fields, wrong types, values out of bounds and the rules of the definitions are all told. Nothing is made.
#
# usage: validate-template.sh [--on-cluster] FILE...     --on-cluster: ask the cluster of the kubeconfig
# exit code 0: all would be taken; 1: not all, and it is said why; 2: usage
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -eq 0 ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '/^set/d' >&2
    exit 2
fi
for gastown in "${GASTOWN:-}" "$here/target/release/gastown" "$here/target/debug/gastown" "$(command -v gastown || true)"; do
    [ -n "$gastown" ] && [ -x "$gastown" ] && exec "$gastown" validate "$@"
done
echo "validate-template: the program gastown does the work and is not here: run make build, or install a release" >&2
exit 1
