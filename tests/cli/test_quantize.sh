#!/bin/bash
# quantize, schemes and info as a user runs them.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
model=$SOURCE/bench/models/codelet/codelet-8m-f16.gguf

fail() { echo "FAILED: $*" >&2; exit 1; }

# refused STATUS WORDS COMMAND...: one line on standard error that holds the words, no output file
refused() {
    local status=0 expected=$1 words=$2
    shift 2
    "$BITGAUGE" "$@" >"$dir/stdout" 2>"$dir/stderr" || status=$?
    [ "$status" = "$expected" ] || fail "$*: exit $status, not $expected: $(cat "$dir/stderr")"
    grep -qF -- "$words" "$dir/stderr" || fail "$*: no '$words' in: $(cat "$dir/stderr")"
    [ "$(wc -l <"$dir/stderr")" = 1 ] || fail "$*: more than a line: $(cat "$dir/stderr")"
    [ ! -s "$dir/stdout" ] || fail "$*: standard output: $(cat "$dir/stdout")"
    rm "$dir/stdout" "$dir/stderr"
    [ -z "$(ls -A "$dir")" ] || fail "$*: left $(ls -A "$dir")"
}

refused 2 'did you mean Q4_K_M?' quantize "$model" "$dir/x.gguf" Q4_KM
refused 2 "unknown scheme 'banana'" quantize "$model" "$dir/x.gguf" banana
refused 2 'is the input itself' quantize "$model" "$model" Q4_0
refused 2 'check the path' quantize "$dir/absent.gguf" "$dir/x.gguf" Q4_0
refused 2 'check the path' quantize "$model" "$dir/absent/x.gguf" Q4_0
refused 2 'no regular file' quantize "$model" "$dir" Q4_0
refused 2 'no regular file' quantize "$model" /dev/null Q4_0
refused 2 'not a GGUF file' quantize "$SOURCE/LICENSE" "$dir/x.gguf" Q4_0
refused 2 'no importance matrix' quantize "$model" "$dir/x.gguf" Q4_0 --imatrix "$SOURCE/LICENSE"
refused 2 'too few arguments' quantize "$model" "$dir/x.gguf"
refused 2 "not 'many'" quantize "$model" "$dir/x.gguf" Q4_0 many
refused 2 'did you mean --imatrix?' quantize "$model" "$dir/x.gguf" Q4_0 --imatrx y
refused 2 'check the path' info "$dir/absent.gguf"

# A disk that fills up, here a limit on the size of files: an error, and nothing is left.
status=0
(ulimit -f 1000; "$BITGAUGE" quantize "$model" "$dir/x.gguf" Q8_0) >/dev/null 2>"$dir/stderr" || status=$?
[ "$status" = 2 ] || fail "file size limit: exit $status"
grep -q 'cannot write' "$dir/stderr" || fail "file size limit: $(cat "$dir/stderr")"
rm "$dir/stderr"
[ -z "$(ls -A "$dir")" ] || fail "file size limit: left $(ls -A "$dir")"

# A download that stopped.
head -c 5000000 "$model" >"$dir/cut.gguf"
status=0
"$BITGAUGE" info "$dir/cut.gguf" 2>"$dir/stderr" || status=$?
[ "$status" = 2 ] && grep -q 'the download is incomplete' "$dir/stderr" || fail "truncated file"
rm "$dir/cut.gguf" "$dir/stderr"

# There and back; the thread count may come last, as llama-quantize has it.
"$BITGAUGE" quantize "$model" "$dir/q8.gguf" q8_0 2 >"$dir/summary"
grep -q 'Q8_0, 8.74 MB, 8.51 bits per weight (Q8_0), .* s with 2 threads' "$dir/summary" ||
    fail "summary: $(cat "$dir/summary")"
[ "$(stat -c %s "$dir/q8.gguf")" = 8742688 ] || fail "size of Q8_0"
"$BITGAUGE" quantize "$model" "$dir/f16.gguf" F16 --threads 1 --json >"$dir/json"
grep -q '"file_bytes": 16361248' "$dir/json" || fail "JSON: $(cat "$dir/json")"
cmp "$model" "$dir/f16.gguf" || fail "F16 to F16 is not the same file"
"$BITGAUGE" quantize "$dir/q8.gguf" "$dir/again.gguf" BF16 >/dev/null 2>"$dir/stderr"
grep -q 'quantized already' "$dir/stderr" || fail "no warning about a quantized source"

"$BITGAUGE" info "$dir/q8.gguf" --tensors >"$dir/info"
for line in 'Codelet 8M' '8.13 million' '8, 256 wide' '8.51 bits per weight' 'Q8_0 (general.file_type 7)' \
    'SentencePiece' 'string\[4096\]' 'output.weight .*Q8_0 .*256 x 4096'; do
    grep -q "$line" "$dir/info" || fail "info has no '$line'"
done
"$BITGAUGE" info "$dir/q8.gguf" --tensors --json >"$dir/json"
for line in '"n_params": 8130816' '"bpw": 8.51' '"llama.block_count": 8' '"name": "output.weight"'; do
    grep -q "$line" "$dir/json" || fail "info --json has no '$line'"
done

# Error feedback: the same formats and bytes, other blocks; the same again gives the same.
"$BITGAUGE" quantize "$model" "$dir/plain.gguf" Q2_K >/dev/null
for name in fed again; do
    "$BITGAUGE" quantize "$model" "$dir/$name.gguf" Q2_K --feedback --chunks 1 >"$dir/summary" 2>"$dir/stderr" ||
        fail "feedback: $(cat "$dir/stderr")"
done
grep -q 'Q2_K, 3.53 MB' "$dir/summary" || fail "feedback: $(cat "$dir/summary")"
[ "$(stat -c %s "$dir/fed.gguf")" = "$(stat -c %s "$dir/plain.gguf")" ] || fail "feedback: size"
cmp "$dir/fed.gguf" "$dir/again.gguf" || fail "feedback: not repeatable"
! cmp -s "$dir/fed.gguf" "$dir/plain.gguf" || fail "feedback: nothing has changed"
rm "$dir/plain.gguf" "$dir/fed.gguf" "$dir/again.gguf"
# A model that no text comes with writes its own.
"$BITGAUGE" quantize "$SOURCE/tests/fuzz/corpus/gguf/ok-model-runs" "$dir/x.gguf" Q8_0 --feedback \
    --chunks 2 >/dev/null 2>"$dir/stderr" && [ -s "$dir/x.gguf" ] ||
    fail "feedback without a text: $(cat "$dir/stderr")"

rm "$dir"/*
work=$(mktemp -d)
trap 'rm -rf "$dir" "$work"' EXIT
# By a recipe: the input stays, what cannot be written is said before the work, what is forgotten, too.
cp "$SOURCE/tests/fuzz/corpus/gguf/ok-model-runs" "$work/in.gguf"
ln "$work/in.gguf" "$work/same.gguf"
printf 'tensor,format,kept\noutput.weight,Q8_0,\n' >"$work/recipe.csv"
by="--recipe $work/recipe.csv"
refused 2 'is the input itself' quantize "$work/in.gguf" "$work/in.gguf" $by
refused 2 'is the input itself' quantize "$work/in.gguf" "$work/same.gguf" $by --feedback
refused 2 'nowhere/x.gguf: cannot create' quantize "$work/in.gguf" "$dir/nowhere/x.gguf" $by --feedback
refused 2 'no regular file' quantize "$work/in.gguf" /dev/full $by
cmp -s "$work/in.gguf" "$SOURCE/tests/fuzz/corpus/gguf/ok-model-runs" || fail "the input has changed"
"$BITGAUGE" quantize "$work/in.gguf" "$work/out.gguf" $by >/dev/null 2>"$work/stderr"
grep -q 'has no line for 8 matrices' "$work/stderr" || fail "forgotten lines: $(cat "$work/stderr")"
: >"$work/empty"
refused 2 'empty: is empty' quantize "$work/in.gguf" "$dir/x.gguf" --from "$work/empty" --tune-steps 1
# Options without effect are refused.
refused 2 'for --feedback, --tune or a pruned --recipe' quantize "$work/in.gguf" "$dir/x.gguf" Q8_0 --calib "$work/recipe.csv"
refused 2 'goes with --feedback' quantize "$work/in.gguf" "$dir/x.gguf" Q8_0 --chunks 2
refused 2 'for how long' quantize "$work/in.gguf" "$dir/x.gguf" Q8_0 --tune-ctx 64
refused 2 'random weights' quantize --shape tinyllama-1.1b Q8_0 "$dir/x.gguf" --layers 2 --feedback

# What is recommended for the model that comes along is a command that works anywhere.
command=$("$BITGAUGE" recommend "$SOURCE/reports/example" | sed -n 's/^  bitgauge \(quantize embedded .*\)/\1/p')
[ -n "$command" ] || fail "no command for the embedded model"
(cd "$dir" && "$BITGAUGE" $command >out) || fail "$command: $(cat "$dir/out")"
set -- $command
"$BITGAUGE" quantize "$model" "$dir/same.gguf" "$4" >"$dir/out"
cmp -s "$dir/$3" "$dir/same.gguf" || fail "another file by the word"

"$BITGAUGE" schemes >"$dir/schemes"
grep -q 'Q4_K_M *Q4_K *4.997 *5.17 MB *Q4_K+Q6_K' "$dir/schemes" || fail "schemes: $(cat "$dir/schemes")"
[ "$("$BITGAUGE" schemes --json | grep -c '"scheme"')" = 25 ] || fail "schemes --json"
echo ok
