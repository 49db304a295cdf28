# report --compare: two folders side by side, of which the second is the first at half the speed
# and knows a roof more.
set -eu
R="$SOURCE/tests/fixtures/results/codelet"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
refused() {
    local says=$1 status=0
    shift
    "$BITGAUGE" report "$@" >"$work/out" 2>"$work/err" || status=$?
    [ $status = 2 ] || fail "exit $status, not 2: $*"
    grep -qF -- "$says" "$work/err" || fail "no '$says' in: $(cat "$work/err")"
}

mkdir "$work/fast"
cp "$R"/*.csv "$R"/*.json "$work/fast"
cp -r "$work/fast" "$work/slow"
column=$(head -n 1 "$R/results.csv" | tr ',' '\n' | grep -n '^tps$' | cut -d : -f 1)
awk -F, -v OFS=, -v c="$column" 'NR > 1 && $c != "" { $c /= 2 } { print }' "$R/results.csv" \
    >"$work/slow/results.csv"
sed -i 's|"roofs": \[|& {"kind": "int8op", "isa": "amx", "threads": 1, "value": 77, "unit": "Gop/s"},|' \
    "$work/slow/machine.json"

"$BITGAUGE" report --compare "$work/fast" "$work/slow" --out "$work/out.d" >"$work/out" ||
    fail "no comparison"
cmp -s "$work/out" "$work/out.d/compare.md" || fail "printed and written differ"
grep -q '<h1>fast and slow' "$work/out.d/compare.html" || fail "no page"
grep -qE '^\| int8 amx \| +\| 77' "$work/out" || fail "the roof that only one has: $(grep amx "$work/out")"
grep -qE '^\| read L1 \| .* \| 1\.00 \|.* \| 1\.00 \| GB/s \|' "$work/out" || fail "equal roofs"
grep -q 'tg64 with 2 threads on both' "$work/out" || fail "no table of equal threads"
[ "$(grep -cE '^\| Q4_K_M .* \| 0\.50 \|$' "$work/out")" -ge 2 ] || fail "ratios: $(grep Q4_K_M "$work/out")"
if grep -E '^\| Q[0-9].* \|$' "$work/out" | grep -vE '\| 0\.50 \|$'; then fail "a ratio that is not half"; fi

# Another model: nothing to compare but the machines.
sed -i 's/,codelet-8m-f16,/,other,/' "$work/slow/results.csv"
"$BITGAUGE" report --compare "$work/fast" "$work/slow" >"$work/out"
grep -q 'different models' "$work/out" || fail "speeds of different models"
rm "$work/slow/machine.json"
"$BITGAUGE" report --compare "$work/fast" "$work/slow" >"$work/out" || fail "no machine.json"
grep -q 'not measured on both' "$work/out" || fail "roofs of nothing"

refused "two folders" --compare "$work/fast"
refused "two folders" "$work/fast" "$work/slow"
refused "nowhere" --compare "$work/fast" "$work/nowhere"
