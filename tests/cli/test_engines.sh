# Sweeps with llama.cpp as an engine: what its programs print becomes rows, whatever they do is no
# end of the sweep, and nothing is left behind.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
cd "$T"
export TMPDIR="$T" FAKE_LOG="$T/log"
fail() { echo "$*" >&2; exit 1; }
TINY="$SOURCE/tests/fuzz/corpus/gguf/ok-model-runs"
ln -s "$SOURCE/tests/fake/llama" llama-bench
ln -s "$SOURCE/tests/fake/llama" llama-perplexity
timed="-m $TINY -p 16 -n 4 --reps 2 --quality off --time-limit 0 --no-report --no-roof -t 1"
llama="--engine llama.cpp --llama-bench ./llama-bench"

column() { # column FILE NAME: the fields of that column; there are no commas in what comes before
    awk -F, -v want="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == want) c = i; next }
        { gsub(/"[^"]*"/, "q"); print $c }' "$1"
}
sweep() { "$BITGAUGE" sweep "$@" >out 2>err || fail "sweep $*: $? $(cat err)"; }
clean() { ! ls -d bitgauge-work-* 2>/dev/null || fail "a temporary folder is left"; }

# Both engines in one folder, in the order of the plan and in turn.
sweep $timed --schemes Q8_0,F16 --engine builtin,llama.cpp --llama-bench ./llama-bench --out both
[ "$(column both/results.csv engine | tr '\n' ' ')" = "bitgauge bitgauge llama.cpp llama.cpp bitgauge \
bitgauge llama.cpp llama.cpp " ] || fail "engines: $(column both/results.csv engine)"
[ "$(grep -c ',ok,' both/results.csv)" = 8 ] || fail "rows: $(cat both/results.csv)"
[ "$(column both/results.csv engine_version | sed -n '3p;4p' | uniq)" = "abc1234 (7)" ] ||
    fail "version: $(column both/results.csv engine_version)"
[ "$(wc -l <both/samples.csv)" = 17 ] || fail "samples: $(cat both/samples.csv)"
[ "$(column both/samples.csv engine | uniq | wc -l)" -gt 3 ] || fail "engines are not interleaved"
grep -q -- '^llama-bench -m .*/Q8_0.gguf -p 16 -n 0 -t 1 -r 1 -ngl 0 -o jsonl$' log || fail "$(cat log)"
[ "$(grep -c 'Q8_0.gguf -p 16' log)" -ge 3 ] || fail "not warmed up: $(cat log)"
clean
# The speed is what the fake says: bytes of the file are microseconds a token.
"$BITGAUGE" quantize "$TINY" q8.gguf Q8_0 >out 2>err || fail "quantize: $(cat err)"
awk -v bytes="$(wc -c <q8.gguf)" -v tps="$(column both/results.csv tps | sed -n 3p)" \
    'BEGIN { r = tps * bytes / 1e6; exit !(r > 0.999999 && r < 1.000001) }' || fail "speed"
# What is to be run with which, and how they compare.
"$BITGAUGE" recommend both >out || fail "recommend"
tail -1 out | grep -q '^recommended: .* with bitgauge ' || fail "recommended: $(tail -1 out)"
"$BITGAUGE" recommend both --engine llama.cpp --json >out || fail "recommend --engine"
grep -q '"engine": "llama.cpp"' out && ! grep -q '"engine": "bitgauge"' out || fail "JSON: $(cat out)"
"$BITGAUGE" report both -o page >out 2>err || fail "report: $(cat err)"
grep -q '^## Engines' page/report.md || fail "the report has no section on engines"
grep -qE 'bitgauge [0-9.]+ decodes [0-9.]+ and prefills [0-9.]+ times as fast as llama.cpp abc1234 \(7\)' page/report.md ||
    fail "no ratio: $(grep 'times as fast' page/report.md)"
# Nothing is left to do, nothing is run again; another list of engines is another plan.
before=$(wc -l <log)
sweep $timed --schemes Q8_0,F16 --engine builtin,llama.cpp --llama-bench ./llama-bench --out both
[ "$(wc -l <log)" = "$before" ] || fail "run again"
! "$BITGAUGE" sweep $timed --schemes Q8_0,F16 --out both 2>err || fail "another plan"
grep -q "another plan" err || fail "$(cat err)"

# Every way to fail is a row with its reason, beside the rows of the builtin engine.
breaks() { # breaks MODE WORDS
    FAKE=$1 sweep $timed --schemes Q8_0 --engine builtin,llama.cpp --llama-bench ./llama-bench \
        --patience 0.5 --out "$1"
    [ "$(grep -c ',ok,' "$1/results.csv")" = 2 ] || fail "$1: rows"
    [ "$(grep -c ',failed,.*llama-bench.*'"$2" "$1/results.csv")" = 2 ] || fail "$1: $(column "$1/results.csv" reason)"
    clean
}
breaks crash "ended by signal 11.*about to crash"
before=$(date +%s)
breaks hang "it was silent for 0.5 s"
[ $(($(date +%s) - before)) -lt 60 ] || fail "hangs"
grep -q "not run again" hang/results.csv || fail "hanging: $(cat hang/results.csv)"
breaks garbage "printed 0 tests.*results"
breaks empty "printed nothing"
breaks missing "samples_ns"
breaks other "ran the test"
breaks talk "wrote over"
grep -q "$(printf '\033')" garbage/results.csv err && fail "control characters get through"
# A folder with failed cells goes on when the cause is gone; another build is not mixed in.
sweep $timed --schemes Q8_0 --engine builtin,llama.cpp --llama-bench ./llama-bench --out crash
[ "$(grep -c ',ok,' crash/results.csv)" = 4 ] || fail "resumed: $(cat crash/results.csv)"
sweep $timed --schemes Q8_0 $llama -n 0 --out first
sed -i 's/,ok,/,failed,/' first/results.csv
! FAKE=newer "$BITGAUGE" sweep $timed --schemes Q8_0 $llama -n 0 --out first 2>err || fail "newer"
grep -q 'is the build abc1234 (8), and cells before were measured with abc1234 (7)' first/results.csv ||
    fail "builds: $(cat first/results.csv)"

# Programs that are not there, or none.
touch nothing
for bad in "./missing-program:cannot be run" "./nothing:may be run" "no-such-bench:not in PATH"; do
    rm -rf gone
    sweep $timed --schemes F16 --engine builtin,llama.cpp --llama-bench "${bad%%:*}" --out gone
    [ "$(grep -c ",failed,.*${bad##*:}" gone/results.csv)" = 2 ] || fail "$bad: $(column gone/results.csv reason)"
    [ "$(grep -c ',ok,' gone/results.csv)" = 2 ] || fail "$bad: $(column gone/results.csv reason)"
done
PATH="$T:$PATH" "$BITGAUGE" sweep $timed --schemes F16 --engine llama.cpp --out path >out 2>err || fail "$(cat err)"
[ "$(grep -c ',ok,' path/results.csv)" = 2 ] || fail "along PATH: $(cat path/results.csv)"
for bad in "--engine vllm" "--engine ," "--engine llama.cpp --counters callgrind" \
    "--engine llama.cpp --shape tinyllama-1.1b"; do
    status=0
    "$BITGAUGE" sweep $bad --out bad >out 2>err || status=$?
    [ $status = 2 ] && [ ! -e bad ] || fail "$bad: $status $(cat err)"
done

# What became slower is measured again by the engine that it is of.
sweep $timed --schemes Q8_0 $llama -n 0 --reps 12 --out was
cp -r was now
awk -F, -v OFS=, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "seconds") c = i }
    NR > 1 { $c *= 2 } { print }' was/samples.csv >now/samples.csv
compare() { status=0; "$BITGAUGE" compare was now -m "$TINY" "$@" >out 2>err || status=$?; }
compare
[ $status = 3 ] || [ $status = 4 ] || fail "slower: $status $(cat out err)"
compare --confirm --llama-bench ./llama-bench
[ $status = 0 ] || [ $status = 4 ] || fail "confirmed: $status $(cat out err)"
[ "$(column now/confirm-1/results.csv engine)" = llama.cpp ] || fail "confirmed: $(cat now/confirm-1/results.csv)"
FAKE=newer compare --confirm --llama-bench ./llama-bench
[ $status = 2 ] && grep -q "abc1234 (8), and now with abc1234 (7): give that build" err || fail "$status $(cat err)"
compare --confirm --llama-bench ./missing-program
[ $status = 2 ] && grep -q "could not be measured again.*cannot be run" err || fail "$status $(cat err)"

# bench: the same tests by either program, one run a test; what it tells of itself is kept.
: >log
bench() { "$BITGAUGE" bench -m "$TINY" --no-roof --llama-bench ./llama-bench "$@" 2>err || fail "bench $*: $(cat err)"; }
bench --engine builtin,llama.cpp --schemes Q8_0,F16 -p 16 -n 4 -pg 8,2 -d 3 -t 1 -r 3 -o jsonl >lines
[ "$(grep -c '"isa": null' lines)" = 6 ] && [ "$(wc -l <lines)" = 12 ] || fail "bench: $(cat lines)"
[ "$(grep -c '"build_commit": "abc1234", "build_number": 7, "cpu_info": "fake"' lines)" = 6 ] ||
    fail "bench: $(cat lines)"
[ "$(grep -c '"model_filename": "[^"]*/ok-model-runs", "model_type": "llama 0M' lines)" = 12 ] ||
    fail "bench names a file that is gone: $(cat lines)"
ns=$(($(wc -c <q8.gguf) * 10 * 1000))
grep -q "\"n_prompt\": 8, \"n_gen\": 2, .*\"samples_ns\": \[$ns, $ns, $ns\]" lines || fail "times: $(cat lines)"
grep -q -- '-p 0 -n 0 -t 1 -r 3 -ngl 0 -o jsonl -d 3 -b 2048 -ub 512 -pg 8,2$' log || fail "$(cat log)"
[ "$(wc -l <log)" = 6 ] || fail "$(cat log)"
"$BITGAUGE" import lines --out imported 2>err && fail "two engines in one folder"
grep '"isa": null' lines >theirs
"$BITGAUGE" import theirs --out imported >out 2>err || fail "import: $(cat err)"
[ "$(column imported/results.csv engine | uniq)" = "llama.cpp" ] || fail "imported: $(cat imported/results.csv)"
bench --engine llama.cpp -p 16 -n 0 -r 1 >md # the file as it is
grep -q '| llama.cpp | CPU ' md && grep -q '^llama.cpp: abc1234 (7)$' md || fail "md: $(cat md)"
grep -q -- "-m $TINY " log || fail "$(cat log)"
clean
for bad in "--engine llama.cpp --llama-bench ./missing-program:cannot be run" "--engine vllm:none of" \
    "--engine llama.cpp --shape tinyllama-1.1b:builtin engine alone"; do
    status=0
    "$BITGAUGE" bench --no-roof ${bad%%:*} >out 2>err || status=$?
    [ $status = 2 ] && grep -q "${bad##*:}" err || fail "bench $bad: $status $(cat err)"
done
status=0
FAKE=crash "$BITGAUGE" bench -m "$TINY" --no-roof $llama >out 2>err || status=$?
[ $status = 2 ] && grep -q "ended by signal 11" err || fail "bench crash: $status $(cat err)"
clean

# Quality: one base for all schemes, in the columns of quality.
: >log
quality="--schemes Q8_0,F16 -p 0 -n 0 --quality quick --time-limit 20 --no-report --no-roof -t 1 \
    $llama --llama-perplexity ./llama-perplexity"
"$BITGAUGE" sweep $quality --out q >out 2>err || fail "quality: $(cat err)"
[ "$(column q/results.csv kld_mean | uniq)" = 0.02 ] || fail "KLD: $(cat q/results.csv)"
[ "$(column q/results.csv ppl | uniq) $(column q/results.csv base_ppl | uniq)" = "5.25 5" ] || fail "ppl"
[ "$(column q/results.csv same_top_pct | uniq) $(column q/results.csv rms_dp_pct | uniq)" = "93.5 4.5" ] ||
    fail "shares"
[ "$(column q/results.csv engine_version | uniq)" = "abc1234 (7)" ] || fail "version of quality"
[ "$(grep -c -- '--chunks' log)" = 1 ] && [ "$(grep -c -- '--kl-divergence ' log)" = 2 ] || fail "$(cat log)"
for bad in "missing:does not print 'Mean PPL(Q)'" "crash:ended by signal 11" "garbage:made no base"; do
    # Nothing was measured at all, so nothing can be recommended.
    ! FAKE=${bad%%:*} "$BITGAUGE" sweep $quality --out "q-${bad%%:*}" 2>err || fail "$bad"
    [ "$(grep -c ",failed,.*${bad##*:}" "q-${bad%%:*}/results.csv")" = 2 ] ||
        fail "$bad: $(cat "q-${bad%%:*}/results.csv")"
done
clean

# Stopped in the middle: what it runs ends with it, and its files are gone.
FAKE=hang "$BITGAUGE" sweep $timed --schemes F16 $llama --out stopped >out 2>err &
pid=$!
for i in $(seq 200); do ls -d bitgauge-work-*/F16.gguf >/dev/null 2>&1 && break; sleep 0.05; done
sleep 0.3
kill -INT $pid
status=0
wait $pid || status=$?
[ $status != 0 ] || fail "an interrupted sweep ends well"
clean
