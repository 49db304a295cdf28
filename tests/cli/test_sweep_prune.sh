# A sweep whose searched points are pruned: rows, report and recommendation say of what, and quantize makes
# the very file that was measured.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
models=$SOURCE/bench/models/codelet
fail() { echo "$*" >&2; exit 1; }

# A layer of the embedded model is a source that is soon searched.
{ echo tensor,format,kept; for layer in 1 2 3 4 5 6 7; do echo "blk.$layer,drop,"; done; } > one.csv
"$BITGAUGE" quantize embedded one.gguf --recipe one.csv > out 2> err
head -c 3600 "$models/codelet-calib.txt" > calib.txt
head -c 2200 "$models/codelet-eval.txt" > eval.txt

# Smaller than the smallest formats make it; there is only time for the first guess.
"$BITGAUGE" sweep -m one.gguf --schemes Q4_0 -p 0 -n 2 --reps 1 --time-limit 0 --text eval.txt --calib calib.txt \
    --search 640kB --prune 60% --search-minutes 0.0001 --no-roof --out r > out 2> err || fail "sweep: $(cat err)"
grep -q '^search-640kB+prune ' out || fail "no row in the table: $(cat out)"
python3 - <<'END' || fail "rows"
import csv, json, sys
rows = list(csv.DictReader(open("r/results.csv")))
pruned = [r for r in rows if r["scheme"] == "search-640kB+prune"]
plain = [r for r in rows if r["scheme"] == "Q4_0"]
assert len(pruned) == len(plain) == 2
for r in pruned:
    assert "feed-forward channels" in r["pruned"], r
    assert int(r["weight_bytes"]) < 640000
    assert int(r["model_params"]) < int(plain[0]["model_params"])
for r in plain:
    assert not r["pruned"] and "pruned=nothing was pruned" in r["absent"], r
assert json.load(open("r/plan.json"))["settings"]["prune"] == 0.6
END
grep -q '| Pruned away |' r/report.md || fail "not in the report"
"$BITGAUGE" recommend r --objective size --max-kld 100 > out
grep -q '^  pruned   .* of 768 feed-forward channels' out || fail "not in the recommendation: $(cat out)"

set -- $(sed -n 's/^  \(bitgauge quantize .*\)$/\1/p' out)
[ $# -gt 4 ] || fail "no command: $(cat out)"
shift
"$BITGAUGE" "$@" > out 2> err || fail "$*: $(cat err)"
"$BITGAUGE" perplexity "$3" --base one.gguf --text eval.txt --json > out 2> err
python3 - <<'END' || fail "the row has another divergence: $(cat out)"
import csv, json, sys
row = [r for r in csv.DictReader(open("r/results.csv"))
       if r["scheme"] == "search-640kB+prune" and r["test"] == "quality"][0]
sys.exit(abs(json.load(open("out"))["kld_mean"] - float(row["kld_mean"])) > 1e-6)
END
