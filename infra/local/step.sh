#!/bin/sh
# Runs one step of the set-up quietly: says what it does, that it still works (every 10 s), how long it took;
# shows the step's own output only when it fails.   usage: step.sh "what it does" command [argument …]
what=$1
shift
said=$(mktemp)
trap 'rm -f "$said"' EXIT
trap 'kill "$child" 2>/dev/null; exit 130' INT TERM
began=$(date +%s%N)
printf '%s …\n' "$what"
"$@" >"$said" 2>&1 </dev/null &
child=$!
waited=0
while kill -0 "$child" 2>/dev/null; do
    sleep 0.2
    waited=$((waited + 1))
    if [ $((waited % 50)) -eq 0 ]; then
        printf '  … %s s  %.90s\n' "$((waited / 5))" "$(tail -n 1 "$said")"
    fi
done
wait "$child"
code=$?
if [ "$code" -ne 0 ]; then
    tail -n 40 "$said" >&2
    printf '%s: FAILED (exit code %s; see above)\n' "$what" "$code" >&2
    exit "$code"
fi
tenths=$((($(date +%s%N) - began) / 100000000))
printf '%s: %s.%s s\n' "$what" "$((tenths / 10))" "$((tenths % 10))"
