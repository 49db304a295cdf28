# A search that is stopped leaves a recipe that quantize applies; recipes that are wrong are refused.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
models=$SOURCE/bench/models/codelet
fail() { echo "$*" >&2; exit 1; }

head -c 3600 "$models/codelet-calib.txt" > calib.txt
head -c 2200 "$models/codelet-eval.txt" > eval.txt

"$BITGAUGE" search --size 2800000 --formats TQ1_0,q2_k,Q4_K --calib calib.txt --text eval.txt --minutes 0.001 --no-feedback --chunks 1 \
    --recipe-out best.csv -o best.gguf > out.txt 2> err.txt || fail "search: $(cat err.txt)"
grep -q 'stopped before the end' out.txt || fail "it does not say that it was stopped: $(cat out.txt)"
grep -q '^searched ' out.txt || fail "no table"
grep -q 'layers reused, peak RSS [1-9]' out.txt || fail "no memory: $(cat out.txt)"
grep -q '^Q2_K ' out.txt && fail "Q2_K is larger than what was asked for"
grep -q '^No scheme is so small: the smallest, ' out.txt || fail "nothing beside it: $(cat out.txt)"
grep -q '^tensor,format,kept$' best.csv || fail "no recipe"
[ -s best.csv.evaluations ] || fail "nothing to go on from"
size=$(stat -c %s best.gguf)
[ "$size" -le 2800000 ] || fail "$size bytes"
grep -q "^# bitgauge search: $size bytes" best.csv || fail "the recipe has another size"

# By the recipe, but without the importance of the calibration text: the same sizes.
"$BITGAUGE" quantize "$models/codelet-8m-f16.gguf" again.gguf --recipe best.csv > out.txt
grep -q 'by the recipe' out.txt || fail "quantize: $(cat out.txt)"
"$BITGAUGE" perplexity again.gguf --text eval.txt --chunks 1 > out.txt || fail "it does not run"

# The same for programs; it goes on from what was left.
"$BITGAUGE" search --size 2800000 --formats TQ1_0,q2_k,Q4_K --calib calib.txt --text eval.txt --minutes 0.001 --no-feedback \
    --chunks 1 --recipe-out best.csv --json > out.txt 2> err.txt || fail "search --json: $(cat err.txt)"
grep -q '"stopped": true' out.txt || fail "JSON: $(cat out.txt)"
grep -q '"name": "searched"' out.txt || fail "JSON has no rows: $(cat out.txt)"

# A pruned recipe: what is gone shows, and what is left runs.
cat > pruned.csv <<'END'
tensor,format,kept
blk.3,drop,
blk.1.ffn_up.weight,Q2_K,0-511
blk.1.ffn_gate.weight,Q2_K,0-511
blk.1.ffn_down.weight,Q2_K,0-511
blk.5.attn_q.weight,Q2_K,128-255
blk.5.attn_k.weight,F16,32-63
blk.5.attn_v.weight,F16,32-63
blk.5.attn_output.weight,Q4_0,128-255
END
"$BITGAUGE" quantize "$models/codelet-8m-f16.gguf" pruned.gguf --recipe pruned.csv > /dev/null
"$BITGAUGE" info pruned.gguf > out.txt
grep -q 'pruned away *1 of 8 layers, 1024 of 6144 feed-forward channels, 3 of 16 key-value heads' out.txt ||
    fail "what is gone: $(cat out.txt)"
"$BITGAUGE" perplexity pruned.gguf --text eval.txt --chunks 1 > out.txt || fail "a pruned file does not run"

# With a text what is left makes up for it: other numbers of the same sizes.
"$BITGAUGE" quantize "$models/codelet-8m-f16.gguf" fitted.gguf --recipe pruned.csv --calib calib.txt > /dev/null
[ "$(stat -c %s fitted.gguf)" = "$(stat -c %s pruned.gguf)" ] || fail "what makes up takes bytes"
cmp -s fitted.gguf pruned.gguf && fail "nothing makes up for what is gone"

# What is wrong is named.
expect() {
    word=$1
    shift
    if "$BITGAUGE" "$@" > out.txt 2> err.txt; then fail "no error for: $*"; fi
    grep -q -- "$word" err.txt || fail "no '$word' in: $(cat err.txt)"
}
sed 's/Q2_K/Q2_X/;t' best.csv > wrong.csv
expect 'wrong.csv: line' quantize "$models/codelet-8m-f16.gguf" x.gguf --recipe wrong.csv
expect 'best.csv prunes nothing' quantize "$models/codelet-8m-f16.gguf" x.gguf --recipe best.csv --calib calib.txt
expect 'a pruned --recipe' quantize "$models/codelet-8m-f16.gguf" x.gguf Q4_K --calib calib.txt
expect 'takes the place of the scheme' quantize a.gguf b.gguf Q4_K 2 --recipe best.csv
expect 'one of --size' search --calib calib.txt
expect 'one of --size' search --calib calib.txt --size 3MB --bpw 3
expect 'is no format' search --calib calib.txt --size 3MB --formats Q4_K,Q4_X
expect 'takes a share' search --calib calib.txt --size 3MB --prune on --prune-order first
expect 'the smallest takes .*, 8.5[0-9]* bits a weight' search --calib nowhere --size 1MB --formats Q8_0
expect 'the smallest takes' search --calib nowhere --bpw 2.6 --formats Q2_K
expect 'the smallest takes' search --calib nowhere --memory 3MB --ctx 64 --formats Q2_K,Q8_0
[ ! -e x.gguf ] || fail "a file in spite of the error"

# Before any work: what cannot be written, would be written over, or says nothing.
cp "$models/codelet-8m-f16.gguf" in.gguf
expect 'in.gguf: is the input itself' search in.gguf --size 3MB -o ./in.gguf
expect 'in.gguf: is the input itself' search in.gguf --size 3MB --recipe-out in.gguf
expect 'nowhere/x.gguf: cannot create' search --size 3MB -o nowhere/x.gguf
expect 'nowhere/r.csv: cannot create' search --size 3MB --recipe-out nowhere/r.csv
expect 'no regular file' search --size 3MB -o /dev/full
head -c 300 calib.txt > short.txt
expect 'short.txt: has .* tokens' search --size 3MB --calib short.txt
expect 'short.txt: has .* tokens' search --size 3MB --calib calib.txt --text short.txt
expect 'in.gguf: is no text' search --size 3MB --calib in.gguf
expect 'is the file of -o' search --size 3MB -o r.csv --recipe-out r.csv
expect 'needs --prune' search --size 3MB --prune-order last
expect 'with --memory alone' search --size 3MB --ctx 512
expect 'with -o' search --size 3MB --tune 1
expect 'for how long' search --size 3MB --tune-rate 0.1 -o x.gguf
for mine in eval.txt best.csv.evaluations; do # of no search, and of another one
    cp $mine before
    expect "$mine: .* choose another --evaluations" search --size 2800000 --formats TQ1_0 --calib eval.txt \
        --evaluations $mine
    cmp -s $mine before || fail "$mine was written over"
done
cp eval.txt other.csv.evaluations # where a search by itself would put its own
expect 'other.csv.evaluations: .* choose another --recipe-out' search --size 2800000 --formats TQ1_0 \
    --calib eval.txt --recipe-out other.csv
cmp -s eval.txt other.csv.evaluations || fail "other.csv.evaluations was written over"

# Memory is what recommend means by it; a text that was searched on is no good to measure on.
"$BITGAUGE" search --memory 4.4MB --ctx 512 --formats Q2_K,Q4_K --calib calib.txt --text calib.txt --minutes 0.001 --no-feedback --chunks 1 \
    --recipe-out memory.csv > out.txt 2> err.txt || fail "--memory: $(cat err.txt)"
size=$(sed -n 's/^# bitgauge search: \([0-9]*\) bytes.*/\1/p' memory.csv)
[ "$size" -gt 2950000 ] && [ "$size" -lt 3050000 ] || fail "--memory: $size bytes of weights"
grep -q '100 % of the text' err.txt || fail "no warning: $(cat err.txt)"
grep -q 'bitgauge quantize .*codelet-8m-f16.gguf OUT.gguf --recipe memory.csv$' out.txt ||
    fail "no command: $(cat out.txt)"
