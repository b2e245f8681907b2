#!/bin/sh
# make-repo.sh PARTS DEST: a bare repository DEST with the project PARTS on main, and git's own log of every value main has.
set -eu
parts=$1 dest=$2
work=$dest.seed
rm -rf "$dest" "$work"
git init -q --bare -b main "$dest"
git -C "$dest" config core.logAllRefUpdates always
cp -R "$parts" "$work"
cd "$work"
git init -q -b main
git add -A
git -c user.name='Town Clerk' -c user.email=clerk@example.com commit -q -m 'Parts: text, lists, numbers, paths, a greeting'
git push -q "$dest" main
rm -rf "$work"
