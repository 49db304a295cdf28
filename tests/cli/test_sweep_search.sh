# A sweep that searches: its points are rows with recipes, an interrupted search is gone on with, and
# quantize makes the files that the rows tell of.
tiny=ok-model-runs
. "$SOURCE/tests/cli/tiny_search.sh"
mv F16.gguf tiny.gguf
column() { # of the rows of scheme $1 and test $2
    python3 - "$1" "$2" "$3" <<'END'
import csv, sys
print(*[r[sys.argv[3]] for r in csv.DictReader(open("r/results.csv"))
        if r["scheme"] == sys.argv[1] and r["test"] == sys.argv[2]])
END
}

sweep="-m tiny.gguf --schemes Q4_0 -p 0 -n 2 --reps 1 --time-limit 0 --text eval.txt --calib calib.txt
    --search 5.9kB,1kB --no-roof --out r"

# Interrupted while it searches, or soon after.
"$BITGAUGE" sweep $sweep > out 2> err &
pid=$!
for i in $(seq 600); do [ -s r/search-imatrix.gguf ] && break; sleep 0.02; done
kill -INT $pid
wait $pid || true

"$BITGAUGE" sweep $sweep > out 2> err || fail "sweep: $(cat err)"
grep -q '^tensor,format,kept$' r/search-5.9kB.csv || fail "no recipe"
[ ! -e r/search.evaluations ] || fail "evaluations are left"
grep -q '^search-5.9kB ' out || fail "no row in the table: $(cat out)"
grep -q 'Searched mixed precision' r/report.md || fail "not in the report"
[ "$(column search-1kB quality status)" = failed ] || fail "a size that is too small has no row"
column search-1kB quality reason | grep -q 'the smallest takes' || fail "no reason"
cp r/search-5.9kB.csv before
"$BITGAUGE" sweep $sweep > out 2> err || fail "again: $(cat err)"
cmp -s before r/search-5.9kB.csv || fail "another recipe"

# The command that the report says makes the file, and the file is the one that was measured.
command=$(sed -n 's/^- `\(bitgauge quantize .*search-5.9kB.csv.*\)`$/\1/p' r/report.md)
[ -n "$command" ] || fail "no command: $(cat r/report.md)"
case $command in *' --feedback'*) ;; *) fail "without error feedback: $command" ;; esac
set -- $command
shift
"$BITGAUGE" "$@" > out 2> err || fail "$*: $(cat err)"
[ "$(stat -c %s "$3")" -le 5900 ] || fail "larger than asked for"
"$BITGAUGE" recommend r --objective quality > out
grep -q '^  bitgauge quantize tiny.gguf tiny-' out || fail "no command: $(cat out)"
grep -q '^  search-1kB failed: ' out || fail "a failure is not told: $(cat out)"
grep -q 'is unknown' out && fail "what failed counts as too large, too: $(cat out)"
"$BITGAUGE" perplexity "$3" --base "$2" --text eval.txt --json > out 2> err
python3 - "$(column search-5.9kB quality kld_mean)" <<'END' || fail "the row has another divergence: $(cat out)"
import json, sys
sys.exit(abs(json.load(open("out"))["kld_mean"] - float(sys.argv[1])) > 1e-6)
END

for alone in '--calib calib.txt' '--search-minutes 1' '--prune on'; do
    if "$BITGAUGE" sweep -m tiny.gguf $alone --out n > out 2> err; then fail "no error for $alone"; fi
    grep -q 'goes with --search' err || fail "$alone: $(cat err)"
done
if "$BITGAUGE" sweep -m tiny.gguf --search --prune 2 --out n > out 2> err; then fail "no error for --prune 2"; fi
grep -q 'off or the share' err || fail "--prune 2: $(cat err)"
for wrong in '--search 2.7XB' '--search Q9_K'; do
    if "$BITGAUGE" sweep $wrong --out n > out 2> err; then fail "no error for $wrong"; fi
    grep -q 'neither a size' err || fail "$wrong: $(cat err)"
done
