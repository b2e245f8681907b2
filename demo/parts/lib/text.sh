# lower, trim, width: text on one line.
lower() { printf '%s\n' "$1" | tr '[:upper:]' '[:lower:]'; }
trim() { printf '%s\n' "$1" | sed 's/^ *//; s/ *$//'; }
width() { printf '%s\n' "${#1}"; }
