# first, last, count, join: lists of words.
first() { printf '%s\n' "$1"; }
last() { while [ $# -gt 1 ]; do shift; done; printf '%s\n' "$1"; }
count() { printf '%s\n' "$#"; }
join() { # join SEPARATOR WORD...
    separator=$1 line=$2
    shift 2
    for word in "$@"; do line=$line$separator$word; done
    printf '%s\n' "$line"
}
