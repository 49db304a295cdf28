# report --compare: folders side by side, of which the second is the first at a third of the speed
# and knows a roof more.
set -eu
R="$SOURCE/tests/fixtures/results/codelet"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
has() { grep -qF -- "$1" "$work/out" || fail "no '$1' in: $(cat "$work/out")"; }
hasnt() { if grep -qF -- "$1" "$work/out"; then fail "'$1' in: $(cat "$work/out")"; fi; }
report() { "$BITGAUGE" report --compare "$@" >"$work/out" || fail "no comparison of $*"; }
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
# Speeds a third, from rows and from samples alike; shares of the roof stay.
scale() { # FILE FACTOR COLUMN...
    local file=$1 factor=$2 name at=
    shift 2
    for name; do at="$at $(head -n 1 "$file" | tr ',' '\n' | grep -nx "$name" | cut -d : -f 1)"; done
    awk -F, -v OFS=, -v at="$at" -v by="$factor" 'BEGIN { n = split(at, c, " ") }
        NR > 1 { for (i = 1; i <= n; i++) if ($c[i] != "") $c[i] *= by } { print }' "$file" >"$file.new"
    mv "$file.new" "$file"
}
scale "$work/slow/results.csv" 0.3333333333 tps tps_ci_low tps_ci_high
scale "$work/slow/samples.csv" 3 seconds
sed -i 's|"roofs": \[|& {"kind": "int8op", "isa": "amx", "threads": 1, "value": 77, "unit": "Gop/s"},|' \
    "$work/slow/machine.json"

report "$work/fast" "$work/slow" --out "$work/out.d"
cmp -s "$work/out" "$work/out.d/compare.md" || fail "printed and written differ"
page="$work/out.d/compare.html"
grep -q '<h1>fast and slow compared' "$page" || fail "no page"
has 'Decode (tg64): fast is faster than slow at '
has 'Recommended, balancing speed against quality:'
if command -v gnuplot >/dev/null; then
    [ "$(grep -c '<figure>' "$page")" -ge 2 ] || fail "figures of the page"
    [ -s "$work/out.d/plots/compare-speedup.png" ] || fail "no bars"
    has '](plots/compare-front.svg)'
fi
grep -qE '^\| int8 amx, Gop/s \| +\| 77' "$work/out" || fail "the roof that only one has: $(grep amx "$work/out")"
grep -qE '^\| read L1, GB/s \| .* \| 1\.00 \|$' "$work/out" || fail "equal roofs"
[ "$(grep -cE '^\| Q4_K_M .* \| 0\.33 \(0\.[0-9]+–0\.[0-9]+\) \|$' "$work/out")" -ge 2 ] ||
    fail "ratios: $(grep Q4_K_M "$work/out")"

# The same twice: nothing can be told, and the folders' names are told apart.
mkdir "$work/b"
cp -r "$work/fast" "$work/b/fast"
report "$work/fast" "$work/b/fast"
grep -q '^# .*/fast and b/fast compared' "$work/out" || fail "names: $(head -1 "$work/out")"
has 'can be told at any of'
hasnt 'is faster than'

# Three folders; one without samples or machine has its rows' intervals.
cp -r "$work/slow" "$work/bare"
rm "$work/bare/machine.json"
head -n 1 "$R/samples.csv" >"$work/bare/samples.csv"
PATH=/nonexistent report "$work/fast" "$work/slow" "$work/bare" --out "$work/three" 2>/dev/null
has '# fast, slow and bare compared'
has 'fast is faster than bare'
has 'Which machine is not said in full, so that it may be another one: bare.'
has 'There are no drawings: gnuplot'
report "$work/bare" "$work/fast"
has 'Roofs were not measured on two of them.'

# Another model: nothing to compare but the machines.
cp -r "$work/slow" "$work/other"
sed -i 's/,codelet-8m-f16,/,other,/' "$work/other/results.csv"
report "$work/fast" "$work/other"
has 'different models (codelet-8m-f16 and other)'
has 'No speed of other can be compared with one of fast.'
hasnt '## Speeds'

refused "two folders" --compare "$work/fast"
refused "two folders" "$work/fast" "$work/slow"
refused "nowhere" --compare "$work/fast" "$work/nowhere"
echo "Q4_0,4" >>"$work/other/results.csv"
refused "other/results.csv" --compare "$work/fast" "$work/other"
echo '{' >"$work/bare/machine.json"
refused "bare" --compare "$work/fast" "$work/bare"
f="$work/fast"
refused "argument" --compare "$f" "$f" "$f" "$f" "$f" "$f" "$f" "$f" "$f"
