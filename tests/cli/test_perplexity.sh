#!/bin/bash
# bitgauge perplexity: figures of the first windows (from a NumPy forward pass in double
# precision), text from a file and from the model itself, and every refusal.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
model=$SOURCE/bench/models/codelet/codelet-8m-f16.gguf

fail() { echo "FAILED: $*" >&2; exit 1; }
# value FILE KEY: a number of a JSON file.
value() { sed -n "s/^ *\"$2\": \([^,]*\),\{0,1\}\$/\1/p" "$1"; }
# near FILE KEY WANTED RATIO
near() {
    awk -v got="$(value "$1" "$2")" -v want="$3" -v ratio="$4" \
        'BEGIN { d = got / want - 1; exit !(got != "" && d <= ratio && -d <= ratio) }' ||
        fail "$2 is $(value "$1" "$2"), not $3"
}
equals() { [ "$(value "$1" "$2")" = "$3" ] || fail "$2 is $(value "$1" "$2"), not $3"; }
# refused WORDS ARGUMENTS...: exit 2, nothing on standard output, one line that says WORDS.
refused() {
    local words=$1 status=0
    shift
    "$BITGAUGE" perplexity "$@" >"$dir/out" 2>"$dir/err" || status=$?
    [ "$status" = 2 ] || fail "$*: exit $status"
    [ ! -s "$dir/out" ] || fail "$*: wrote to standard output"
    [ "$(wc -l <"$dir/err")" = 1 ] || fail "$*: $(cat "$dir/err")"
    grep -qF -- "$words" "$dir/err" || fail "$*: '$words' is not in: $(cat "$dir/err")"
}

"$BITGAUGE" perplexity --ctx 64 --chunks 2 --json >"$dir/embedded.json"
equals "$dir/embedded.json" windows 2
equals "$dir/embedded.json" tokens 62
near "$dir/embedded.json" ppl 6.359024 0.001
near "$dir/embedded.json" ppl_se 2.108141 0.001
for key in kld_mean kld_se kld_median kld_p99 kld_p999 kld_max same_top_pct rms_dp_pct; do
    equals "$dir/embedded.json" $key null
done

# llama.cpp's names of the options; the base is the model itself.
"$BITGAUGE" perplexity -m "$model" -f "$SOURCE/bench/models/codelet/codelet-eval.txt" -c 64 \
    --chunks 2 -t 2 --base "$model" --json >"$dir/same.json"
equals "$dir/same.json" ppl "$(value "$dir/embedded.json" ppl)"
equals "$dir/same.json" kld_mean 0.0
equals "$dir/same.json" kld_max 0.0
equals "$dir/same.json" same_top_pct 100.0
equals "$dir/same.json" rms_dp_pct 0.0

# The embedded model comes with its text, also under another path.
"$BITGAUGE" perplexity "$model" --ctx 64 --chunks 2 --json >"$dir/path.json"
equals "$dir/path.json" ppl "$(value "$dir/embedded.json" ppl)"

# Quantized in memory: worse, but not by much.
"$BITGAUGE" perplexity --ctx 64 --chunks 2 --scheme q8_0 --json >"$dir/q8_0.json"
awk -v k="$(value "$dir/q8_0.json" kld_mean)" 'BEGIN { exit !(k > 1e-5 && k < 2e-3) }' ||
    fail "divergence of Q8_0: $(value "$dir/q8_0.json" kld_mean)"
# Several models are measured from one base, each as by itself.
"$BITGAUGE" quantize "$model" "$dir/q8_0.gguf" Q8_0 >/dev/null
"$BITGAUGE" quantize "$model" "$dir/q4_0.gguf" Q4_0 >/dev/null
for f in q8_0 q4_0; do
    "$BITGAUGE" perplexity "$dir/$f.gguf" --base "$model" --ctx 64 --chunks 2 --json >"$dir/$f.one.json"
done
"$BITGAUGE" perplexity "$dir/q8_0.gguf" "$dir/q4_0.gguf" --base "$model" --ctx 64 --chunks 2 --json \
    >"$dir/two.json"
[ "$(grep kld_mean "$dir/two.json")" = "$(grep -h kld_mean "$dir/q8_0.one.json" "$dir/q4_0.one.json" |
    sed 's/^/  /')" ] || fail "together: $(cat "$dir/two.json")"
"$BITGAUGE" perplexity "$dir/q8_0.gguf" "$dir/q4_0.gguf" --base "$model" --ctx 64 --chunks 2 |
    grep -qE '^q4_0.gguf  .* ±' || fail "no line for the second model"
refused "several models want a --base" "$dir/q8_0.gguf" "$dir/q4_0.gguf"

# Simulated activations: the model is its own base; fewer bits are worse.
"$BITGAUGE" perplexity --ctx 64 --chunks 2 --activations q4 --json >"$dir/a4.json"
grep -qF '"simulated_activations": "q4"' "$dir/a4.json" || fail "not said to be simulated"
awk -v k="$(value "$dir/a4.json" kld_mean)" 'BEGIN { exit !(k > 0.01 && k < 1) }' ||
    fail "divergence of 4 bits: $(value "$dir/a4.json" kld_mean)"
"$BITGAUGE" perplexity --ctx 64 --chunks 2 --scheme q4_0 --activations q6 | grep -q 'q6, simulated' ||
    fail "not said to be simulated"
refused "f16|q8|q6|q4" --activations q5

# What the weights alone tell about importance makes quantization better.
for option in "" --no-importance; do
    # shellcheck disable=SC2086
    "$BITGAUGE" perplexity --ctx 256 --chunks 4 --scheme Q4_K_S --json $option >"$dir/q4$option.json"
done
awk -v a="$(value "$dir/q4.json" kld_mean)" -v b="$(value "$dir/q4--no-importance.json" kld_mean)" \
    'BEGIN { exit !(a > 0 && a < 0.95 * b) }' ||
    fail "importance: $(value "$dir/q4.json" kld_mean), without $(value "$dir/q4--no-importance.json" kld_mean)"
"$BITGAUGE" perplexity --ctx 32 --chunks 1 --scheme Q8_0 >"$dir/table"
for words in "as Q8_0" "1 window of 32 tokens, 15 scored" "KL divergence" "99.9 %" "same top"; do
    grep -qF "$words" "$dir/table" || fail "'$words' is not in the table: $(cat "$dir/table")"
done

# A model of another name writes its own text: the same again, other with another seed.
LC_ALL=C sed '0,/Codelet 8M/s/Codelet 8M/Codelet 9M/' "$model" >"$dir/named.gguf"
for seed in 1 1 2; do
    "$BITGAUGE" perplexity "$dir/named.gguf" --ctx 16 --chunks 2 --seed $seed --json >"$dir/self-$seed.json.new"
    [ ! -e "$dir/self-$seed.json" ] ||
        equals "$dir/self-$seed.json.new" ppl "$(value "$dir/self-$seed.json" ppl)"
    mv "$dir/self-$seed.json.new" "$dir/self-$seed.json"
done
[ "$(value "$dir/self-1.json" ppl)" != "$(value "$dir/self-2.json" ppl)" ] || fail "seed has no effect"

printf 'package main\n' >"$dir/short.txt"
: >"$dir/empty.txt"
refused "but a window needs 512" -f "$dir/short.txt"
refused "empty.txt: is empty" -f "$dir/empty.txt"
refused "short.txt" -f "$dir/short.txt"
refused "cannot open" -f "$dir/missing.txt"
refused "cannot open" "$dir/missing.gguf"
refused "cannot open" --base "$dir/missing.gguf"
refused "did you mean Q4_K_M?" --scheme Q4_KM
refused "--ctx wants a number" --ctx 2
refused "did you mean --chunks?" --chunk 2
refused "short.txt" "$dir/short.txt"
refused "needs --scheme" --imatrix "$dir/short.txt"

# A base with another vocabulary: one letter of one token differs.
LC_ALL=C sed '0,/<unk>/s/<unk>/<unl>/' "$model" >"$dir/other.gguf"
! cmp -s "$model" "$dir/other.gguf" || fail "the vocabulary was not changed"
refused "has another vocabulary than the base" --ctx 16 --chunks 1 --base "$dir/other.gguf"
echo passed
