#!/bin/bash
# quantize --tune: a file of the same formats and size that is nearer to the model; what is misuse.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
models=$SOURCE/bench/models/codelet
model=$models/codelet-8m-f16.gguf
fail() { echo "FAILED: $*" >&2; exit 1; }

head -c 2400 "$models/codelet-calib.txt" > calib.txt
head -c 2200 "$models/codelet-eval.txt" > eval.txt
kld() { "$BITGAUGE" perplexity "$1" --base "$model" --text eval.txt --ctx 64 --json |
    sed -n 's/.*"kld_mean": \([0-9.e-]*\).*/\1/p'; }

"$BITGAUGE" quantize "$model" plain.gguf Q2_K 2> /dev/null > /dev/null
tune() { "$BITGAUGE" quantize "$model" "$1" Q2_K --tune-steps 6 --tune-ctx 64 --calib calib.txt \
    > out.txt 2> err.txt || fail "tune: $(cat err.txt)"; }
tune tuned.gguf
grep -q '^tuned by 6 steps of 64 tokens: KL divergence' err.txt || fail "says: $(cat err.txt)"
[ "$(stat -c %s tuned.gguf)" = "$(stat -c %s plain.gguf)" ] || fail "another size"
before=$(kld plain.gguf) after=$(kld tuned.gguf)
awk "BEGIN { exit !($after < 0.97 * $before) }" || fail "from $before to $after"

# A file goes on from where it is: as large, and no worse.
"$BITGAUGE" quantize "$model" again.gguf --from tuned.gguf --tune-steps 6 --tune-ctx 64 \
    --calib calib.txt > out.txt 2> err.txt || fail "from: $(cat err.txt)"
[ "$(stat -c %s again.gguf)" = "$(stat -c %s plain.gguf)" ] || fail "from: another size"
awk "BEGIN { exit !($(kld again.gguf) < 1.02 * $after) }" || fail "from: $(kld again.gguf) after $after"
refuse() {
    local status=0 what=$1
    shift
    "$BITGAUGE" quantize "$model" x.gguf --from "$@" > out.txt 2> err.txt || status=$?
    [ $status = 2 ] && grep -q -e "$what" err.txt || fail "--from $*: $status, $(cat err.txt)"
    [ ! -e x.gguf ] || fail "--from $*: leaves a file"
}
refuse 'say how' tuned.gguf
refuse 'leave' tuned.gguf --recipe r.csv --tune-steps 6
refuse 'not GGUF\|GGUF' calib.txt --tune-steps 6
refuse 'takes the place of the scheme' tuned.gguf --tune-steps 6 Q4_K_M

# Too little text.
head -c 200 calib.txt > short.txt
status=0
"$BITGAUGE" quantize "$model" x.gguf Q2_K --tune-steps 6 --calib short.txt 2> err.txt || status=$?
[ $status = 2 ] && grep -q 'give a longer one' err.txt || fail "short text: $status, $(cat err.txt)"
[ ! -e x.gguf ] || fail "a failed run leaves a file"
