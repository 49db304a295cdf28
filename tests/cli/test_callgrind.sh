# Counts of a simulated processor: the same in every run, compared exactly, and refused clearly.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
cd "$T"
fail() { echo "$*" >&2; exit 1; }
export TMPDIR="$T"
TINY="$SOURCE/tests/fuzz/corpus/gguf/ok-model-runs" # a few thousand weights
only="--counters callgrind -p 0 -n 0 --quality off --no-report"
tiny="-m $TINY $only"

# refuses OUTPUT WORDS COMMAND...
refuses() {
    local folder=$1 words=$2 status=0
    shift 2
    "$@" >out 2>err || status=$?
    [ $status = 2 ] || fail "$*: exit status $status: $(cat err)"
    grep -q -e "$words" err || fail "$*: $(cat err)"
    [ ! -e "$folder" ] || fail "$*: left $folder"
}
column() { # FILE NAME: that column's values, a line each
    awk -F, -v name="$2" '{ gsub(/"[^"]*"/, "\"\"") } NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i }
        NR > 1 { print $c }' "$1"
}

refuses n "a shape" "$BITGAUGE" sweep --shape llama-2-7b --counters callgrind --out n
refuses n "callgrind" "$BITGAUGE" sweep --counters perf --out n
refuses n "leave out --shape, -t" "$BITGAUGE" bench --counters callgrind -t 2
refuses n "callgrind only" "$BITGAUGE" count "$TINY" ref 4 0 0

why=$("$BITGAUGE" sweep $tiny --schemes F16 --isa ref --out can 2>&1) || true
case $why in
*"built with sanitizers"* | *"valgrind's header"*)
    [ ! -e can ] || fail "a refused sweep left a folder"
    echo "skipped: $why"
    exit 0 ;;
esac

# A valgrind that is missing, strange, dies, or writes nonsense.
mkdir fake
mkdir -p bitgauge-work-killed bitgauge-work-else # what a killed one left; somebody's own
touch bitgauge-work-killed/model.gguf bitgauge-work-else/mine
refuses n "apt install valgrind" env PATH=/nowhere "$BITGAUGE" sweep $tiny --schemes F16 --out n
printf '#!/bin/sh\necho hello\n' >fake/valgrind
chmod +x fake/valgrind
refuses n "does not tell its version (hello)" env PATH="$T/fake:$PATH" "$BITGAUGE" sweep $tiny \
    --schemes F16 --out n
for end in 'echo broken; exit 9' 'echo junk >counts.1' 'true'; do
    printf '#!/bin/sh\n[ "$1" != --version ] || { echo valgrind-3.99; exit 0; }\n%s\n' "$end" >fake/valgrind
    rm -rf f
    refuses n "nothing could be counted" env PATH="$T/fake:$PATH" "$BITGAUGE" sweep $tiny \
        --schemes F16 --isa ref --out f
    case $end in
    echo\ broken*) want="exit status 9: broken" ;;
    echo\ junk*) want="no events: line" ;;
    true) want="cannot open" ;;
    esac
    [ "$(grep -c ",failed,.*$want" f/results.csv)" = 2 ] || fail "$end: $(cat f/results.csv)"
done
[ "$(echo bitgauge-work-*)" = bitgauge-work-else ] && [ -e bitgauge-work-else/mine ] ||
    fail "temporary folders: $(ls)"
rm -r bitgauge-work-else

if ! command -v valgrind >/dev/null; then
    echo "skipped: valgrind is not installed"
    exit 0
fi

# Two runs, from different folders, with other environments: the same numbers to the last digit.
count="--schemes Q4_0 $only"
"$BITGAUGE" sweep $count --out a >out 2>err || fail "sweep: $(cat err)"
grep -q '^Q4_0 .*sim-pp16' out || fail "table: $(cat out)"
mkdir -p deep/er
(cd deep/er && env A_LONG_VARIABLE="$(seq 500)" MALLOC_ARENA_MAX=1 "$BITGAUGE" sweep $count \
    --out ../../b >/dev/null 2>&1) || fail "again"
sims="sim_instructions sim_l1i_misses sim_l1d_misses sim_ll_misses sim_branch_misses"
for sim in $sims; do
    [ "$(column a/results.csv $sim | grep -c '^[1-9]')" = 2 ] || fail "$sim: $(cat a/results.csv)"
    [ "$(column a/results.csv $sim)" = "$(column b/results.csv $sim)" ] ||
        fail "$sim differs: $(column a/results.csv $sim) $(column b/results.csv $sim)"
done
grep -q '"LL": "1048576,16,64"' a/plan.json || fail "no geometry: $(cat a/plan.json)"
grep -q '"tool": "valgrind-' a/plan.json || fail "no version: $(cat a/plan.json)"
[ -z "$(column a/results.csv load_s | tr -d '\n')" ] || fail "something timed is among the counts"
"$BITGAUGE" export a -f github-smaller >out 2>err || fail "export: $(cat err)"
grep -q 'sim-pp16/avx2/t1/sim_instructions' out || fail "export: $(cat out)"
# Timed rows know nothing of them.
"$BITGAUGE" sweep -m "$TINY" --schemes F16 -p 8 -n 2 --reps 1 --quality off --no-roof --no-report --out t \
    >out 2>err || fail "timed: $(cat err)"
[ -z "$(column t/results.csv sim_instructions | tr -d '\n')" ] || fail "timed rows count"
grep -q 'sim_instructions.*=--counters callgrind was not given' t/results.csv || fail "no reason"

# bench counts the same test the same.
"$BITGAUGE" bench --schemes Q4_0 --counters callgrind -p 16 -n 0 -o jsonl >out 2>err ||
    fail "bench: $(cat err)"
[ "$(wc -l <out)" = 1 ] || fail "bench: $(cat out)"
grep -q "\"sim_instructions\": *$(column a/results.csv sim_instructions | head -1)[,}]" out ||
    fail "bench: $(cat out a/results.csv)"

"$BITGAUGE" compare a b >out 2>err || fail "compare: $? $(cat out err)"
grep -q sim_instructions out || fail "compare: $(cat out)"
! ls -d "$T"/bitgauge-work-* 2>/dev/null || fail "a temporary folder is left"

# One percent more work in one kernel is a regression of its cells, and of no others.
[ -n "${SLOW:-}" ] || exit 0
"$SLOW" sweep $count --out slow >out 2>err || fail "slow: $(cat err)"
status=0
"$BITGAUGE" compare a slow --format json >out 2>err || status=$?
[ $status = 3 ] || fail "a slower kernel: $status $(cat out err)"
[ "$(grep -c '"verdict": "worse"' out)" = 2 ] || fail "a slower kernel: $(cat out)"
"$BITGAUGE" sweep $tiny --schemes Q8_0 --out other >out 2>err || fail "other: $(cat err)"
"$SLOW" sweep $tiny --schemes Q8_0 --out other-slow >out 2>err || fail "other: $(cat err)"
"$BITGAUGE" compare other other-slow >out 2>err || fail "another kernel: $? $(cat out err)"
