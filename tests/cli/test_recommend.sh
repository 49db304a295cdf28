# recommend on recorded results: what fits is named, the pick moves with the constraints.
set -eu
R="$SOURCE/tests/fixtures/results/codelet"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }
# expect STATUS ARGUMENTS...: runs recommend, keeps its output in $work/out and $work/err.
expect() {
    want=$1; shift
    got=0
    "$BITGAUGE" recommend "$@" >"$work/out" 2>"$work/err" || got=$?
    [ "$got" = "$want" ] || fail "recommend $* exited with $got, not $want: $(cat "$work/err")"
}
pick() { tail -n 1 "$work/out" | sed -n 's/^recommended: \([^ ]*\) .*/\1/p'; }
bytes() {
    sed -n '/^  "pick": {/,/^  }/s/.*"memory_bytes": \([0-9]*\).*/\1/p' "$work/out"
}

expect 0 "$R"
free=$(pick)
case $free in Q4_K_*|Q5_K_*|Q6_K*) ;; *) fail "no constraint: $free" ;; esac

expect 0 "$R" --memory 5MB
[ "$(pick)" != "$free" ] || fail "--memory 5MB changed nothing"
expect 0 "$R" --memory 5MB --json
for key in scheme objective reasons front runners_up removed changes feasible; do
    grep -q "^  \"$key\": " "$work/out" || fail "no key $key"
done
[ "$(bytes)" -le 5000000 ] || fail "$(bytes) bytes do not fit into 5 MB"

expect 0 "$R" --objective speed;   fast=$(pick)
expect 0 "$R" --objective quality; best=$(pick)
expect 0 "$R" --objective size;    small=$(pick)
[ "$best" = F16 ] || fail "quality: $best"
[ "$fast" != "$free" ] && [ "$small" != "$free" ] || fail "objectives change nothing"
expect 0 "$R" --memory 12MB --ctx 4096
[ "$(pick)" != "$free" ] || fail "a longer context changes nothing"
expect 0 "$R" --max-kld 0.003; [ "$(pick)" != "$free" ] || fail "--max-kld changes nothing"
expect 0 "$R" --max-ppl-loss 0.3; [ "$(pick)" != "$free" ] || fail "--max-ppl-loss changes nothing"
tps=$("$BITGAUGE" recommend "$R" | sed -n 's/.*with --min-tps \([0-9.]*\):.*/\1/p')
expect 0 "$R" --min-tps "$tps"; [ "$(pick)" != "$free" ] || fail "--min-tps changes nothing"

# The answer is no: exit 1, the nearest choice, and what would let it in.
expect 1 "$R" --memory 1MB
tail -n 1 "$work/out" | grep -q '^recommended: none (nearest: Q2_K_S with --memory ' || fail "nearest"
grep -q 'nearest choice is Q2_K_S' "$work/err" || fail "no error line"
[ "$(wc -l <"$work/err")" = 1 ] || fail "more than one line of error"
expect 1 "$R" --memory 1MB --json
grep -q '"scheme": null' "$work/out" && grep -q '"nearest": "Q2_K_S"' "$work/out" || fail "JSON of no"
expect 1 "$R" --objective energy
grep -q 'no energy source on this machine' "$work/err" || fail "energy reason"

# Misuse and missing results: exit 2 with the remedy.
expect 2 "$R" --objective best
expect 2 "$R" --memory lots
expect 2 "$R" --max-kld 0 # not taken for "no limit"
expect 2 "$R" --max-ppl-loss 0
expect 2 "$R" --memroy 5MB; grep -q 'did you mean --memory' "$work/err" || fail "no suggestion"
(cd "$work" && expect 2 && grep -q 'bitgauge sweep' "$work/err") || fail "no remedy without results"
expect 2 "$work"
grep -q 'bitgauge sweep' "$work/err" || fail "no remedy for a folder without results"

# The same question, the same answer.
expect 0 "$R" --json; cp "$work/out" "$work/first"
expect 0 "$R" --json; cmp -s "$work/out" "$work/first" || fail "two answers to one question"
