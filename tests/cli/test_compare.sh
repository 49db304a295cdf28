# compare: exit statuses, formats as their readers document them, refusals. The folders are the
# recorded one with more repetitions, as it is and with some cells slower.
set -eu
R="$SOURCE/tests/fixtures/results/codelet"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset GITHUB_STEP_SUMMARY
fail() { echo "FAILED: $*" >&2; exit 1; }
exits() {
    local want=$1 status=0
    shift
    "$BITGAUGE" compare "$@" >out 2>err || status=$?
    [ $status = "$want" ] || fail "exit $status, not $want: $* $(cat err) $(tail -n 1 out)"
}
says() { grep -qF -- "$1" out || fail "no '$1' in: $(cat out)"; }
refused() {
    local says=$1
    shift
    exits 2 "$@"
    grep -qF -- "$says" err || fail "no '$says' in: $(cat err)"
}

# folder FACTOR SCHEME: 30 repetitions a cell, with a per mille or two between them; those of SCHEME
# take FACTOR times as long.
folder() {
    mkdir "$1"
    cp "$R"/*.json "$1"
    grep -E '^(scheme|(Q4_0|Q4_K_M|Q8_0|F16),.*,avx2,)' "$R/results.csv" |
        grep -E '^scheme|,2,(pp512|tg64),' >"$1/results.csv"
    awk -F, -v OFS=, -v factor="$2" -v slow="$3" '
        NR == 1 { print; next }
        $5 == 0 && $1 ~ /^(Q4_0|Q4_K_M|Q8_0|F16)$/ {
            seconds = $7 * ($1 == slow ? factor : 1)
            for (i = 0; i < 30; i++) {
                $5 = i; $6 = i * 100 + NR; $7 = seconds * (1 + (i * 7 % 30) / 10000)
                print
            }
        }' "$R/samples.csv" >"$1/samples.csv"
}
folder base 1 none
folder again 1 none
folder slow 1.1 Q8_0
folder fast 0.9 Q8_0

exits 0 base again
says 'No regression: of 8 comparisons 0 worse, 0 better, 8 the same, 0 inconclusive'
exits 3 base slow
says '**slower**'
[ "$(grep -c '\*\*slower' out)" = 2 ] || fail "cells that are slower: $(cat out)"
tail -n 1 out | grep -q '^Regression: of 8 comparisons 2 worse.* Q8_0 ' || fail "conclusion: $(tail -n 1 out)"
[ "$(grep '^|' out | awk '{ print length }' | sort -u | wc -l)" = 1 ] || fail "not aligned: $(cat out)"
exits 0 base fast
exits 0 base slow --threshold 20%
exits 3 base slow --threshold 0.02 --metric tps,ttft_ms
exits 0 base slow --metric rss_bytes,bpw
cp out first
exits 0 base slow --metric rss_bytes,bpw
cmp -s first out || fail "not the same twice"

# Four repetitions can prove nothing, and say so.
awk -F, 'NR == 1 || $5 < 4' slow/samples.csv >short && cp -r slow few && mv short few/samples.csv
exits 4 base few
says 'too few repetitions (30 and 4'
says 'Inconclusive, no regression found'

# A floor of the machine that is above the change.
cp -r base base.loud && cp -r slow loud
for d in base.loud loud; do
    sed -i '1s/{/{"noise_floors": [{"kind": "pp", "threads": 2, "floor": 0.3}, {"kind": "tg", "threads": 2, "floor": 0.01}],/' \
        $d/machine.json
done
exits 3 base.loud loud
[ "$(grep -c '\*\*slower\*\*' out)" = 2 ] || fail "the own part of pp: $(cat out)"
says 'Warning: all 4 cells of pp together, 2 threads: tps'
says 'All 4 cells of tg together, 2 threads: tps'
exits 3 base.loud loud --format json
if command -v python3 >/dev/null; then
    python3 - <<'EOF' || fail "JSON: $(cat out)"
import json
c = json.load(open("out"))
for cell in c["cells"]:
    assert cell["own"]["others"] == 3 and abs(cell["own"]["ratio_high"] - 1) < 0.12
    assert cell["judged_by_own"] == (cell["test"] == "pp512"), cell
assert [(t["cells"], t["verdict"]) for t in c["together"]] == [(4, "inconclusive"), (4, "same")]
EOF
fi

# Three cells of a kind have nothing to be compared with. All together, it is a regression, or open.
for d in base.loud loud; do
    cp -r $d $d.few
    sed -i '/^F16,.*pp512/d' $d.few/results.csv
done
exits 3 base.loud.few loud.few
[ "$(grep -c '\*\*slower\*\*' out)" = 1 ] || fail "the floor of pp: $(cat out)"
says 'below the noise floor'
folder all 1.1 none
awk -F, -v OFS=, 'NR > 1 { $7 *= 1.1 } { print }' base/samples.csv >all/samples.csv
exits 3 base all
says 'All 4 cells of pp together, 2 threads: tps -9'
cp all/samples.csv loud/samples.csv
cp base/samples.csv base.loud/samples.csv
sed -i 's/"threads": 2, "floor": 0.01/"threads": 2, "floor": 0.3/' base.loud/machine.json
exits 0 base.loud loud
says 'below the noise floor'
exits 4 base.loud loud --strict

# A cell that no longer runs is a regression; others are listed.
cp -r base broken
awk -F, -v OFS=, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "status") s = i; print; next }
    /^Q4_0,/ && /,pp512,/ { sub(/,measured,ok,/, ",measured,failed,") } /^F16,.*tg64/ { next } { print }' \
    base/results.csv >broken/results.csv
exits 3 base broken
says '**failed** in broken'
says 'F16 tg64, avx2, 2 threads: in base'

# JSON: one object with every number.
exits 3 base slow --format json
if command -v python3 >/dev/null; then
    python3 - <<'EOF' || fail "JSON: $(cat out)"
import json
c = json.load(open("out"))
assert c["regression"] is True and c["counts"]["worse"] == 2 and len(c["cells"]) == 8
for cell in c["cells"]:
    assert cell["base"]["samples"] == 30 and cell["ratio_low"] <= cell["ratio"] <= cell["ratio_high"]
    assert 0 <= cell["p"] <= cell["q"] <= 1 and cell["noise_floor"] > 0
EOF
fi

# JUnit XML: a suite whose counts are those of its cases; a regression is a failure.
exits 3 base slow --format junit
if command -v python3 >/dev/null; then
    python3 - <<'EOF' || fail "JUnit: $(cat out)"
import xml.etree.ElementTree as tree
root = tree.parse("out").getroot()
assert root.tag == "testsuites"
allowed = {"skipped", "error", "failure", "system-out", "system-err", "properties"}
for suite in root:
    cases = suite.findall("testcase")
    assert suite.tag == "testsuite" and suite.get("name") and len(cases) == len(list(suite))
    for node in (root, suite):
        assert int(node.get("tests")) == len(cases) == 10
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(node.get(attribute)) == len(suite.findall("testcase/" + tag))
        float(node.get("time"))
    for case in cases:
        assert case.get("name") and case.get("classname") and float(case.get("time")) >= 0
        assert {child.tag for child in case} <= allowed
    names = [case.get("name") for case in cases]
    assert len(set(names)) == len(names)
    assert len(suite.findall("testcase/failure[@message]")) == 2
EOF
fi

# GitHub: the summary goes to the job's page, annotations to standard output.
export GITHUB_STEP_SUMMARY=$work/summary
echo before >summary
exits 3 base slow --format github
[ "$(head -n 1 summary)" = before ] && grep -q '^| Q8_0 ' summary || fail "summary: $(cat summary)"
[ "$(grep -cE '^::error title=Q8_0 (pp512|tg64)%2C avx2%2C 2 threads::tps -9\.. %25 \(' out)" = 2 ] ||
    fail "annotations: $(cat out)"
if grep -vE '^::(error|warning|notice) title=[^:,]*::' out; then fail "not an annotation"; fi
unset GITHUB_STEP_SUMMARY
exits 3 base slow --format github
says '| Q8_0 '
says '::error title='

# Confirming sweeps what is slower once more, and nothing else; here with the same program, so that
# nothing is slower any more than before.
export BITGAUGE_DATA=$SOURCE
"$BITGAUGE" sweep --schemes Q4_0,Q8_0 -p 16 -n 4 -t 1 --quality off --reps 12 --no-roof \
    --no-report --out run >/dev/null 2>err || fail "sweep: $(cat err)"
cp -r run half
awk -F, -v OFS=, 'NR > 1 && /^Q8_0,.*,tg4,/ { $7 *= 9 } { print }' run/samples.csv >half/samples.csv
cp run/machine.json half
status=0
"$BITGAUGE" compare run half --confirm --threshold 60% --alpha 0.2 >out 2>err || status=$?
[ $status = 0 ] || [ $status = 4 ] || fail "confirm: exit $status: $(cat err out)"
says 'were measured again, and are judged by that (half/confirm-1)'
grep -q '^Q8_0,' half/confirm-1/results.csv || fail "not confirmed: $(cut -d, -f 1 half/confirm-1/results.csv)"
cmp -s run/plan.json half/plan.json || fail "the folder was changed"
sed -i 's/"file": "[^"]*"/"file": "other.gguf"/' half/plan.json
refused "was swept with other.gguf" run half --confirm

# Refusals.
cp -r slow other && sed -i 's/"AMD EPYC"/"Another CPU"/' other/machine.json
refused "another machine (Another CPU" base other
exits 3 base other --cross-machine
says 'shares of their roofs'
cp -r slow engine && sed -i '1s/{/{"engine": "llama.cpp",/' engine/plan.json
refused "another engine (llama.cpp)" base engine
cp -r slow model && sed -i 's/,codelet-8m-f16,/,other,/' model/results.csv
refused "another model" base model
refused "did you mean ttft_ms" base slow --metric ttft_m
refused "no column that can be compared" base slow --metric isa
refused "wants a share" base slow --threshold 5x
refused "wants a share" base slow --threshold 0
refused "wants one of" base slow --format yaml
refused "too few arguments" base
refused "nowhere" base nowhere
"$BITGAUGE" compare --help | grep -q 'Exit status: 0 no regression; 3 regression' || fail "help"
