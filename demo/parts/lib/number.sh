# add, sub, max, min, abs: whole numbers.
add() { printf '%s\n' "$(($1 + $2))"; }
sub() { printf '%s\n' "$(($1 - $2))"; }
max() { if [ "$1" -gt "$2" ]; then printf '%s\n' "$1"; else printf '%s\n' "$2"; fi; }
min() { if [ "$1" -lt "$2" ]; then printf '%s\n' "$1"; else printf '%s\n' "$2"; fi; }
abs() { if [ "$1" -lt 0 ]; then printf '%s\n' "$((-$1))"; else printf '%s\n' "$1"; fi; }
