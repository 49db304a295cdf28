# report on recorded results: complete with gnuplot, and without it.
set -eu
R="$SOURCE/tests/fixtures/results/codelet"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

PATH=/nonexistent "$BITGAUGE" report "$R" --out "$work/bare" >/dev/null 2>"$work/err" ||
    fail "no report without gnuplot"
grep -q 'apt install gnuplot-nox' "$work/bare/report.md" || fail "no remedy for a missing gnuplot"
grep -q 'Q5_K_M' "$work/bare/report.html" || fail "no tables without gnuplot"
[ -z "$(ls -A "$work/bare/plots")" ] || fail "leavings in plots/"

# The report leaves the results alone and reads nothing but them.
cp -r "$R" "$work/results"
(cd / && "$BITGAUGE" report "$work/results" >"$work/out") || fail "report beside its results"
cmp -s "$R/results.csv" "$work/results/results.csv" || fail "results were changed"
page="$work/results/report.html"
for heading in 'All schemes' 'Levels of precision' 'The letters' 'Memory' 'The machine' 'Counters' \
    'How it was measured' 'Cells that failed'; do
    grep -q "<h2>$heading" "$page" || fail "no section $heading"
    grep -q "^## $heading" "$work/results/report.md" || fail "no section $heading in Markdown"
done
grep -q 'no performance monitoring unit' "$page" || fail "no reason for missing counters"
grep -q 'differs from the reference' "$page" || fail "no reason of a failed cell"

grep -q '<title>Which quantization of .* to run</title>' "$page" || fail "title: $(grep '<title>' "$page")"

# Self-contained: nothing is fetched.
if grep -Eiq '(src|href)=["'\'']?(https?:)?//|url\(["'\'']?(https?:)?//|@import|<link|<script|<img' "$page"; then
    fail "the page refers to something outside"
fi

command -v gnuplot >/dev/null || { echo "gnuplot is missing: drawings not tested"; exit 0; }
for plot in quality-size quality-speed speed roofline memory; do
    [ -s "$work/results/plots/$plot.svg" ] && [ -s "$work/results/plots/$plot.png" ] || fail "no $plot"
    grep -q "aria-labelledby=\"$plot-title\"" "$page" || fail "$plot is not in the page"
done
[ ! -e "$work/results/plots/counters.svg" ] || fail "a drawing of counters that nobody read"
[ "$(ls -A "$work/results/plots" | wc -l)" = 10 ] || fail "leavings in plots/: $(ls -A "$work/results/plots")"
ids=$(grep -o ' id="[^"]*"' "$page" | sort | uniq -d)
[ -z "$ids" ] || fail "identifiers twice: $ids"
if command -v xmllint >/dev/null; then
    xmllint --noout "$work"/results/plots/*.svg || fail "SVG is not well-formed"
    sed -n '/<svg/,/<\/svg>/p' "$page" | sed 's/<\/svg>.*/<\/svg>/; s/.*<svg/<svg/' >"$work/svgs"
    { echo '<all>'; cat "$work/svgs"; echo '</all>'; } | xmllint --noout - || fail "inline SVG"
fi

# The legends name the levels that are drawn: ternary schemes are useless here, and left out.
grep -q '^TQ1_0,1,' "$R/results.csv" || fail "the fixture has no ternary scheme"
grep -q '>Q4<' "$work/results/plots/quality-size.svg" || fail "no legend"
if grep -q '>Q1<' "$work/results/plots/quality-size.svg"; then fail "a level that is not drawn"; fi

# Counters where there are any; and whatever rows there are, every drawing that is tried works.
column=$(head -n 1 "$R/results.csv" | tr ',' '\n' | grep -n '^cycles_per_token$' | cut -d : -f 1)
awk -F, -v OFS=, -v c="$column" 'NR > 1 && /tg64/ && $0 !~ /failed/ { $c = 1000 + NR } { print }' \
    "$R/results.csv" >"$work/results/results.csv"
"$BITGAUGE" report "$work/results" >/dev/null 2>"$work/err" && [ ! -s "$work/err" ] || fail "$(cat "$work/err")"
[ -s "$work/results/plots/counters.svg" ] || fail "no drawing of counters"
for rows in '^(scheme|F16),' '^(scheme|F16|Q4_0),' '^scheme|quality' '^scheme|tg64' '^scheme|,ref,'; do
    grep -E "$rows" "$R/results.csv" >"$work/results/results.csv"
    "$BITGAUGE" report "$work/results" >/dev/null 2>"$work/err" && [ ! -s "$work/err" ] ||
        fail "rows $rows: $(cat "$work/err")"
done
[ ! -e "$work/results/plots/counters.svg" ] || fail "an old drawing was left"

# A gnuplot that fails: its words are told, and the tables are there all the same.
mkdir "$work/bin"
printf '#!/bin/sh\necho "out of ink" >&2\nexit 3\n' >"$work/bin/gnuplot"
chmod +x "$work/bin/gnuplot"
PATH="$work/bin:$PATH" "$BITGAUGE" report "$R" --out "$work/broken" >/dev/null 2>"$work/err" ||
    fail "no report with a broken gnuplot"
grep -q 'out of ink' "$work/broken/report.md" && grep -q 'out of ink' "$work/err" || fail "gnuplot's words"

# Files that cannot grow stand for a full disk, of which gnuplot says nothing.
status=0
(trap '' XFSZ; ulimit -f 24; "$BITGAUGE" report "$R" --out "$work/full") >/dev/null 2>"$work/err" ||
    status=$?
[ "$status" = 2 ] && grep -q 'free some space' "$work/err" || fail "full disk: $status $(cat "$work/err")"
[ -z "$(find "$work/full" -type f)" ] || fail "half a report: $(find "$work/full" -type f)"

# An output that cannot be written.
touch "$work/file"
status=0
"$BITGAUGE" report "$R" --out "$work/file" >/dev/null 2>"$work/err" || status=$?
[ "$status" = 2 ] || fail "wrote into a file"
