#!/bin/bash
# imatrix as a user runs it, and what takes its files.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
model=$SOURCE/bench/models/codelet/codelet-8m-f16.gguf
calib=$SOURCE/bench/models/codelet/codelet-calib.txt

fail() { echo "FAILED: $*" >&2; exit 1; }

# refused STATUS WORDS COMMAND...: a line on standard error that holds the words, and no file
refused() {
    local status=0 expected=$1 words=$2
    shift 2
    "$BITGAUGE" "$@" >"$dir/stdout" 2>"$dir/stderr" || status=$?
    [ "$status" = "$expected" ] || fail "$*: exit $status, not $expected: $(cat "$dir/stderr")"
    grep -qF -- "$words" "$dir/stderr" || fail "$*: no '$words' in: $(cat "$dir/stderr")"
    [ ! -s "$dir/stdout" ] || fail "$*: standard output: $(cat "$dir/stdout")"
    rm "$dir/stdout" "$dir/stderr"
    [ -z "$(ls -A "$dir")" ] || fail "$*: left $(ls -A "$dir")"
}

refused 2 'check the path' imatrix "$dir/absent.gguf" -o "$dir/x.gguf"
refused 2 'check the path' imatrix -f "$dir/absent.txt" -o "$dir/x.gguf"
refused 2 'smaller --ctx' imatrix -f "$SOURCE/LICENSE" -o "$dir/x.gguf" --ctx 100000
refused 2 'check the path' imatrix --chunks 1 -o "$dir/absent/x.gguf"
refused 2 '--output-format' imatrix --output-format csv -o "$dir/x.gguf"
refused 2 'with --text FILE' imatrix "$SOURCE/tests/fuzz/corpus/gguf/ok-model-runs" -o "$dir/x.gguf"
refused 2 'give --imatrix' perplexity --scheme Q2_K+imatrix --chunks 1
refused 2 'give --imatrix' quantize "$model" "$dir/x.gguf" Q2_K+imatrix
refused 2 'give --imatrix' sweep --schemes Q2_K+imatrix --out "$dir/sweep"

# A disk that fills up, and an interruption: an error, and nothing is left.
status=0
(ulimit -f 20; "$BITGAUGE" imatrix --chunks 1 -o "$dir/x.gguf") >/dev/null 2>"$dir/stderr" || status=$?
[ "$status" = 2 ] && grep -q 'cannot write' "$dir/stderr" || fail "size limit: $(cat "$dir/stderr")"
rm "$dir/stderr"
[ -z "$(ls -A "$dir")" ] || fail "file size limit: left $(ls -A "$dir")"
"$BITGAUGE" imatrix -t 1 --isa ref -o "$dir/x.gguf" >/dev/null 2>"$dir/stderr" &
sleep 0.3
kill -INT $!
status=0
wait $! || status=$?
[ "$status" = 2 ] && grep -q 'nothing was written' "$dir/stderr" || fail "stopped: $(cat "$dir/stderr")"
rm "$dir/stderr"
[ -z "$(ls -A "$dir")" ] || fail "stopped: left $(ls -A "$dir")"

# Both forms hold the same, and make the same model.
"$BITGAUGE" imatrix "$model" --text "$calib" --chunks 8 -c 128 --out "$dir/a.gguf" >"$dir/summary"
grep -q '56 matrices on 8 windows of 128 tokens of codelet-calib.txt' "$dir/summary" ||
    fail "summary: $(cat "$dir/summary")"
"$BITGAUGE" imatrix -m "$model" --chunks 8 -c 128 -o "$dir/a.dat" --output-format dat --json >"$dir/json"
grep -q '"tensors": 56' "$dir/json" && grep -q '"chunks": 8' "$dir/json" || fail "$(cat "$dir/json")"
"$BITGAUGE" imatrix --chunks 1 --process-output -o "$dir/out.gguf" | grep -q '57 matrices' || fail output
for form in gguf dat; do
    "$BITGAUGE" quantize "$model" "$dir/$form.q2.gguf" Q2_K --imatrix "$dir/a.$form" >"$dir/summary"
    "$BITGAUGE" info "$dir/$form.q2.gguf" >"$dir/info"
    grep -q 'quantize.imatrix.dataset *string *codelet-calib.txt' "$dir/info" ||
        grep -q 'codelet-calib.txt' "$dir/info" || fail "info: $(cat "$dir/info")"
done
tensors() { "$BITGAUGE" perplexity "$1" --chunks 2 -c 128 --json | grep '"ppl"'; }
[ "$(tensors "$dir/gguf.q2.gguf")" = "$(tensors "$dir/dat.q2.gguf")" ] || fail "the forms differ"

# It makes a better model, and the file is the same as what perplexity makes in memory.
loss() { "$BITGAUGE" perplexity --chunks 8 -c 128 --json "$@" | sed -n 's/.*"kld_mean": \([0-9.e-]*\),/\1/p'; }
without=$(loss --scheme Q2_K)
with=$(loss --scheme Q2_K+imatrix --imatrix "$dir/a.gguf")
awk "BEGIN { exit !($with < 0.97 * $without) }" || fail "KL divergence $with, without $without"
[ "$(loss "$dir/gguf.q2.gguf" --base "$model")" = "$with" ] || fail "file and memory differ"

# Made for another model.
status=0
"$BITGAUGE" perplexity "$SOURCE/tests/fuzz/corpus/gguf/ok-model-runs" --scheme Q8_0 \
    --imatrix "$dir/a.gguf" -c 8 --chunks 1 >/dev/null 2>"$dir/stderr" || status=$?
[ "$status" = 2 ] && grep -q 'made for another' "$dir/stderr" || fail "other: $(cat "$dir/stderr")"

# A sweep has rows with and without, which are recommended and reported by name; it goes on.
sweep() {
    "$BITGAUGE" sweep --schemes Q2_K,F16 --imatrix "$dir/a.gguf" -p 8 -n 2 -r 1 --isa native -t 1 \
        --no-roof --quality quick --time-limit 2 --out "$dir/sweep" "$@" >"$dir/out" 2>"$dir/err" ||
        fail "sweep: $(cat "$dir/err")"
}
sweep
for row in '^Q2_K,.*,quality,' '^Q2_K+imatrix,.*,quality,' '^F16,'; do
    grep -q "$row" "$dir/sweep/results.csv" || fail "no row $row"
done
grep -q 'Q2_K+imatrix' "$dir/out" || fail "table: $(cat "$dir/out")"
grep -q 'Q2_K+imatrix' "$dir/sweep/report.md" || fail "report"
[ "$(grep -c '^F16+imatrix' "$dir/sweep/results.csv")" = 0 ] || fail "F16 has a variant"
cp "$dir/sweep/samples.csv" "$dir/before"
sweep --no-report
cmp "$dir/sweep/samples.csv" "$dir/before" || fail "a whole sweep was measured again"
"$BITGAUGE" compare "$dir/sweep" "$dir/sweep" | grep -q 'Q2_K+imatrix' || fail compare
"$BITGAUGE" recommend "$dir/sweep" --objective size | grep -q 'Q2_K+imatrix' || fail recommend
echo ok
