# Models without weights: listed, written, timed, swept, and recommended from published quality.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
cd "$T"
fail() { echo "$*" >&2; exit 1; }
TINY="$SOURCE/tests/fixtures/shapes/tiny.json"

# refuses WORDS COMMAND...: exit 2 and one line that says this.
refuses() {
    local want="$1" status=0
    shift
    "$BITGAUGE" "$@" >out 2>err || status=$?
    [ $status = 2 ] && [ ! -s out ] || fail "$*: exit status $status: $(cat out)"
    [ "$(wc -l <err)" = 1 ] || fail "$*: $(cat err)"
    grep -qF -e "$want" err || fail "$*: no '$want' in $(cat err)"
}
refuses "did you mean codellama-34b" info --shape codelama-34b
refuses "info --list-shapes" bench --shape nothing --schemes Q4_0
refuses "give one of them" bench --shape tinyllama-1.1b -m x.gguf
refuses "goes with --shape" bench --layers 4
refuses "goes with --shape" sweep --layers 4 --out n
refuses "goes with --shape" quantize --layers 4 a.gguf b.gguf Q4_0
refuses "from 2" bench --shape tinyllama-1.1b --layers 1
refuses "no quality to measure" sweep --shape "$TINY" --quality quick --out n
refuses "have no importance" quantize --shape "$TINY" --imatrix i Q4_0 x.gguf
refuses "10 layers, not 11" quantize --shape "$TINY" --layers 11 Q4_0 x.gguf
refuses "unknown scheme" quantize --shape "$TINY" Q4_9 x.gguf
refuses "sweep --shape codellama-7b" recommend --shape codellama-7b
[ -z "$(ls | grep -v -e out -e err)" ] || fail "left $(ls)"

"$BITGAUGE" info --list-shapes >out
grep -q '^codellama-34b *33.74 B *48 *8192 *https://' out || fail "list: $(cat out)"
[ "$("$BITGAUGE" info --list-shapes --json | grep -c '"n_params"')" = 13 ] || fail "list as JSON"
"$BITGAUGE" info --shape qwen2.5-0.5b >out
grep -q 'runs here *yes' out || fail "info: $(cat out)"
"$BITGAUGE" schemes --shape codellama-7b >out
grep -q '^Q4_K_M .* 4.08 GB ' out || fail "schemes: $(cat out)"

# A file with the shape's layers or fewer, that is read like any other.
"$BITGAUGE" quantize --shape "$TINY" Q4_K_M whole.gguf >out
grep -q 'Q4_K_M, .* bits per weight (Q4_K+Q6_K)' out || fail "quantize: $(cat out)"
"$BITGAUGE" quantize --shape "$TINY" --layers 3 cut.gguf q8_0 1 >out
"$BITGAUGE" info cut.gguf >info
grep -q 'layers *3, 256 wide' info && grep -q 'runs here *yes' info || fail "info: $(cat info)"
"$BITGAUGE" bench -m cut.gguf -p 4 -n 2 -r 1 --no-roof -o jsonl >lines
[ "$(grep -c '"source": "measured".*"random_weights": false' lines)" = 2 ] || fail "$(cat lines)"

"$BITGAUGE" bench --shape "$TINY" --schemes Q4_K_M,F16 -p 4 -n 2 -r 2 -t 1 --no-roof -o jsonl >lines
[ "$(grep -c '"model_filename": "tiny".*"random_weights": true' lines)" = 4 ] || fail "$(cat lines)"
grep -q '"load_s": [0-9.]*, "peak_rss": [0-9]*' lines || fail "load: $(cat lines)"
"$BITGAUGE" bench --shape "$TINY" --schemes Q8_0 -p 0 -n 2 -r 1 -t 1 --no-roof >out
grep -q '% of roof *| *condition *| *load s *| *peak RSS' out || fail "bench: $(cat out)"

# The published quality of the nearest model joins the speeds, and says whose it is.
"$BITGAUGE" sweep --shape "$TINY" --schemes Q4_K_M,IQ4_XS,F16 -p 8 -n 2 --reps 2 --time-limit 0 \
    --no-roof --no-report >out 2>err || fail "sweep: $(cat err)"
grep -q 'published for' out && grep -q 'LLaMA-1' out || fail "sweep: $(cat out)"
tail -1 out | grep -q '^recommended: .*published perplexity' || fail "sweep: $(tail -1 out)"
[ ! -e results/latest ] || fail "a shape became results/latest"
dir=$(echo results/*-tiny)
grep -q '"shape": "tiny"' "$dir/plan.json" || fail "plan: $(cat "$dir/plan.json")"
grep -q 'quantize_s=random weights' "$dir/results.csv" || fail "rows: $(cat "$dir/results.csv")"
"$BITGAUGE" recommend --shape tiny --json >json
grep -q '"model": "LLaMA-1 7B"' json && grep -q '"speed_source": "measured"' json || fail "$(cat json)"
"$BITGAUGE" recommend "$dir" --shape tiny,tiny >out
[ "$(grep -c 'left out: IQ4_XS, no quality is published for it' out)" = 2 ] || fail "short: $(cat out)"
"$BITGAUGE" report "$dir" >/dev/null 2>&1
grep -q 'they are published for LLaMA-1 7B' "$dir/report.md" || fail "report"
refuses "no results of the shape" recommend "$dir" --shape llama-2-7b

# Phi-3's matrices of several in one, Qwen 2's biases.
for shape in qwen2 phi3; do
    "$BITGAUGE" bench --shape "$SOURCE/tests/fixtures/shapes/tiny-$shape.json" --schemes Q4_K_M \
        -p 4 -n 0 -r 1 --no-roof -o csv >out 2>err || fail "$shape: $(cat err)"
    grep -q "$shape" out || fail "$shape: $(cat out)"
done
