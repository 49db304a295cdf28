# A tiny sweep: its files, going on after a kill, and what it refuses.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
cd "$T"
fail() { echo "$*" >&2; exit 1; }
TINY="$SOURCE/tests/fuzz/corpus/gguf/ok-model-runs" # a few thousand weights
tiny="-m $TINY --schemes Q8_0,F16 -p 16 -n 4 --reps 2 --quality off --time-limit 0 --no-report"

# refuses ARGUMENTS... -- WORDS: exit 2, one line, that says this.
refuses() {
    local all="$*" status=0
    local want="${all##* -- }"
    "$BITGAUGE" sweep ${all%% -- *} >out 2>err || status=$?
    [ $status = 2 ] || fail "$*: exit status $status"
    [ "$(grep -vc "%" err)" = 1 ] || fail "$*: $(cat err)"
    grep -q -e "$want" err || fail "$*: $(cat err)"
}

"$BITGAUGE" sweep $tiny --out r >out 2>err || fail "sweep: $(cat err)"
tail -1 out | grep -q '^recommended: ' || fail "last line: $(tail -1 out)"
for f in results.csv samples.csv plan.json machine.json; do
    [ -s r/$f ] || fail "no $f"
done
[ -s r/machine.xml ] || grep -q '"topology": "sysfs"' r/machine.json || fail "no machine.xml"
ls r | grep -q tmp && fail "a temporary file is left"
[ "$(grep -c ',ok,' r/results.csv)" = 4 ] || fail "rows: $(cat r/results.csv)"
[ "$(wc -l <r/samples.csv)" = 9 ] || fail "samples: $(cat r/samples.csv)"
[ "$(cut -d, -f5 r/samples.csv | sort | uniq -c | tr -s ' \n' ' ')" = " 4 0 4 1 1 rep " ] ||
    fail "repetitions"

# The same again has nothing left to do, another plan is refused.
cp r/results.csv before
"$BITGAUGE" sweep $tiny --out r >out 2>err || fail "again: $(cat err)"
cmp -s before r/results.csv || fail "a finished sweep changed"
refuses -m $TINY --schemes F16 --out r -- "another plan ('schemes' in its"
cp -r r older # begun before the quantizers changed
sed -i 's/"quantizers": "[^"]*"/"quantizers": "0123456789abcdef.1"/' older/plan.json
refuses $tiny --out older -- "begun by a bitgauge that rounds otherwise"

# A model in two files is known by both.
split="$SOURCE/tests/fixtures/model/two-files"
"$BITGAUGE" sweep -m $split-00001-of-00002.gguf --schemes F16 -p 0 -n 2 --reps 1 --quality off \
    --no-roof --no-report --out two >out 2>err || fail "two files: $(cat err)"
grep -q "\"bytes\": $(cat $split-*.gguf | wc -c)," two/plan.json || fail "bytes: $(cat two/plan.json)"
grep -q '"files": 2' two/plan.json || fail "files: $(cat two/plan.json)"

# A row that lost its instruction set is another cell's: the sweep goes on around it.
cp -r r edited
awk -F, -v OFS=, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "isa") c = i }
    { gsub(/"[^"]*"/, "\"\"") } NR == 2 { $c = "" } { print }' before >edited/results.csv
"$BITGAUGE" sweep $tiny --out edited >out 2>err || fail "edited: $? $(cat err)"
[ "$(grep -c ',ok,' edited/results.csv)" = 5 ] || fail "edited rows: $(cat edited/results.csv)"

# Killed in the middle, it goes on to the same end.
long="--schemes Q8_0,BF16 -p 16 -n 4 --reps 15 --time-limit 0 --quality off --no-report"
"$BITGAUGE" sweep $long --out k >out 2>err &
pid=$!
for i in $(seq 300); do [ -s k/plan.json ] && break; sleep 0.1; done
sleep 0.3
kill -9 $pid 2>/dev/null || true
wait $pid 2>/dev/null || true
"$BITGAUGE" sweep $long --out k >out 2>err || fail "resume: $(cat err)"
[ "$(grep -c ',ok,' k/results.csv)" = 4 ] || fail "rows after resuming"
[ "$(wc -l <k/samples.csv)" = 61 ] || fail "samples after resuming: $(wc -l <k/samples.csv)"

# Without --out: results/latest.
"$BITGAUGE" sweep --schemes F16 -p 0 -n 2 --reps 1 --quality off --no-report >out 2>err ||
    fail "default folder: $(cat err)"
[ -s results/latest/results.csv ] || fail "results/latest"
rm results/latest
mkdir results/latest # somebody's folder is left alone
"$BITGAUGE" sweep -m $TINY --schemes F16 -p 0 -n 2 --reps 1 --quality off --no-report >out 2>err ||
    fail "a folder called latest: $(cat err)"
grep -q 'could not be pointed' err || fail "a folder called latest: $(cat err)"
[ -d results/latest ] && [ ! -h results/.latest.tmp ] || fail "results/: $(ls -A results)"

# A model without a text writes its own.
self="-m $TINY --schemes Q4_0,F16 -p 8 -n 2 --reps 3 --time-limit 0 --no-report"
"$BITGAUGE" sweep $self --out s >out 2>err || fail "self: $(cat err)"
[ -s s/self-tokens.txt ] || fail "no self-tokens.txt"
[ "$(grep -c ',quality,.*,ok,' s/results.csv)" = 2 ] || fail "quality: $(cat s/results.csv)"

touch file
mkdir odd
touch odd/results.csv
refuses --out file $tiny -- "is a file"
refuses --out odd $tiny -- "without its plan.json"
refuses --out /proc/nowhere $tiny -- "cannot create the folder"
refuses --schemes Q4_K_X --out n -- "Q4_K"
refuses --threads 0 --out n -- "--threads"
refuses --isa avx9 --out n -- "avx9"
refuses --profile fast --out n -- "quick|full|ci"
refuses --reps many --out n -- "--reps"
refuses -m file --out n -- "file: "
refuses -m missing.gguf --out n -- "check the path"
refuses --text missing.txt --schemes Q4_0 --out n -- "check the path"
printf 'too short' >short.txt
refuses --text short.txt --schemes Q4_0 --out n -- "quality needs 512"
huge=$(awk '/MemTotal/ { print int($2 / 2) }' /proc/meminfo) # the embedded model: 2 kB a token
if [ "$huge" -lt 16777216 ]; then
    refuses --schemes F16 --depth 16777216 --quality off --out n -- "smaller -"
fi
refuses -p 0 -n 0 --quality off --out n -- "nothing to measure"
refuses --schem Q4_0 --out n -- "did you mean --schemes"
[ ! -e n ] || fail "something half written is left"
