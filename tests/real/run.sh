#!/usr/bin/env bash
# run.sh smollm2|gemma3: what a user does first with a model: look at it, measure its perplexity,
# sweep a few schemes (its rows are no multiples of 256, so that fallbacks come in), have one
# recommended.
set -eu
name=$1
model=${XDG_CACHE_HOME:-$HOME/.cache}/bitgauge/real/$name.gguf
text=$SOURCE/bench/models/codelet/codelet-eval.txt
if [ ! -s "$model" ]; then
    echo "skipped: there is no $model; ./check --real fetches it"
    exit 77
fi
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
cd "$T"
fail() { echo "$name: $*" >&2; exit 1; }

# Perplexity of the first four windows of 512 tokens, by llama-perplexity: over so few tokens it
# moves by some thousandths with how activations are rounded.
case $name in
smollm2) want=42.5446 ;;
gemma3) want=47.1992 ;;
*) fail "no such model" ;;
esac

"$BITGAUGE" info "$model" >out || fail "info"
grep -q '^  runs here *yes' out || fail "info: $(head -20 out)"

"$BITGAUGE" perplexity -m "$model" --text "$text" --ctx 512 --chunks 4 --json >out 2>err ||
    fail "perplexity: $(cat err)"
got=$(sed -n 's/^ *"ppl": \([0-9.e+-]*\).*/\1/p' out)
awk -v a="$got" -v b="$want" 'BEGIN { d = a / b - 1; exit !(d < 0.01 && d > -0.01) }' ||
    fail "perplexity $got, but llama.cpp has $want"

head -c 6000 "$text" >short.txt
"$BITGAUGE" sweep -m "$model" --schemes Q3_K_S,Q4_K_M,Q8_0 -p 32 -n 8 --reps 2 --time-limit 0 \
    --text short.txt --no-roof --no-report --out r >out 2>err || fail "sweep: $(tail -3 err)"
[ "$(grep -c ',ok,' r/results.csv)" -ge 6 ] || fail "sweep: $(cut -c 1-200 r/results.csv)"
grep -q '^recommended: ' out || fail "sweep recommends nothing: $(tail -3 out)"

"$BITGAUGE" recommend r >out 2>err || fail "recommend: $(cat err)"
grep -q 'Q3_K_S\|Q4_K_M\|Q8_0' out || fail "recommend: $(cat out)"
