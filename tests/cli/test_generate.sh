# generate: streams, several at once, bad input.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "$*" >&2; exit 1; }

# Same seed, same text; another seed, another text.
"$BITGAUGE" generate -p 'def main' -n 12 --seed 3 >"$dir/a" 2>"$dir/time"
"$BITGAUGE" generate -p 'def main' -n 12 --seed 3 >"$dir/b" 2>/dev/null
"$BITGAUGE" generate -p 'def main' -n 12 --seed 4 >"$dir/c" 2>/dev/null
cmp "$dir/a" "$dir/b"
! cmp -s "$dir/a" "$dir/c" || fail "the seed changes nothing"
grep -q '^def main' "$dir/a"
grep -q 'prompt .* tokens, .* tokens/s; generated 12 tokens, .* tokens/s' "$dir/time"

# A prompt may be empty; temperature 0 does not depend on the seed, nor the text on the threads.
"$BITGAUGE" generate -n 12 --temp 0 --seed 1 -t 1 >"$dir/a" 2>/dev/null
"$BITGAUGE" generate -n 12 --temp 0 --seed 2 -t 2 >"$dir/b" 2>/dev/null
cmp "$dir/a" "$dir/b"

# Several at once, as text and as JSON.
"$BITGAUGE" generate -p 'func ' -n 6 --parallel 3 --seed 5 >"$dir/a" 2>/dev/null
test "$(grep -c '^--------$' "$dir/a")" = 2
"$BITGAUGE" generate -p 'func ' -n 6 --parallel 3 --seed 5 --json >"$dir/json" 2>/dev/null
for seed in 5 6 7; do grep -q "\"seed\": $seed" "$dir/json"; done
grep -q '"stopped": "length"' "$dir/json"

# The end of the context.
"$BITGAUGE" generate -p 'func ' --ctx 8 --json >"$dir/json" 2>"$dir/note"
grep -q '"stopped": "context"' "$dir/json"
grep -q 'end of the context' "$dir/note"

# Misuse: exit 2, one line, the remedy.
refuse() {
    local word=$1 status=0
    shift
    "$BITGAUGE" generate "$@" >"$dir/out" 2>"$dir/err" || status=$?
    test $status = 2 || fail "generate $*: exit $status"
    test ! -s "$dir/out" || fail "generate $*: wrote something"
    test "$(wc -l <"$dir/err")" = 1 || fail "generate $*: $(cat "$dir/err")"
    grep -q -e "$word" "$dir/err" || fail "generate $*: $(cat "$dir/err")"
}
refuse '--ctx' -p 'a b c d e f g h i j k l m n' --ctx 4
refuse 'did you mean Q4_K' --scheme Q4_K_N
refuse 'nowhere.gguf' "$dir/nowhere.gguf"
refuse 'parallel' --paralel 3
refuse 'UTF-8' -p "$(printf 'caf\351')" -n 1 --json
refuse 'avx2' --isa avx3
refuse 'smaller --ctx' --ctx 1000000000
