# leaf, stem, suffix: names of files.
leaf() { printf '%s\n' "${1##*/}"; }
stem() { name=${1##*/}; printf '%s\n' "${name%.*}"; }
suffix() { printf '%s\n' "${1##*.}"; }
