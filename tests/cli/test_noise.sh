# Noise floors: measured once, carried by sweeps, used by verdicts.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
cd "$T"
fail() { echo "$*" >&2; exit 1; }
export XDG_CACHE_HOME="$T/cache"
TINY="$SOURCE/tests/fuzz/corpus/gguf/ok-model-runs"
tiny="-m $TINY --schemes Q8_0 -p 16 -n 4 --reps 8 --quality off --time-limit 0 --no-report --no-roof"

"$BITGAUGE" probe --quick --noise --seconds 3 --threads 1 --out p >out 2>err || fail "probe: $(cat err)"
grep -q '^Noise floors (estimates)' out || fail "no table: $(cat out)"
grep -qE '^  tg +[0-9.]+ %' out || fail "no floors of tg: $(cat out)"
grep -q '"estimated": true' p/machine.json || fail "an estimate without a label"
ls cache/bitgauge | grep -qE '^noise-[0-9a-f]{16}\.json$' || fail "nothing is kept: $(cat err)"
"$BITGAUGE" probe --quick | grep -q '^Noise floors (estimates)' || fail "a later probe forgot them"

# A sweep carries them, and a comparison says that it used them.
"$BITGAUGE" sweep $tiny -t 1 --out a >out 2>err || fail "sweep: $(cat err)"
grep -q '"noise_floors": \[$' a/machine.json || fail "the sweep lost the floors"
"$BITGAUGE" sweep $tiny -t 1 --out b >out 2>err || fail "sweep: $(cat err)"
"$BITGAUGE" compare a b --format json >verdicts || [ $? = 4 ] || [ $? = 3 ] || fail "compare"
grep -q '"noise_floor_source": "machine"' verdicts || fail "the floor is not used: $(cat verdicts)"

# Somebody else's file, and one of no use.
rm -r cache
"$BITGAUGE" sweep $tiny -t 1 --out c --noise-from p/machine.json >out 2>err || fail "from: $(cat err)"
grep -q '"kind": "tg"' c/machine.json || fail "--noise-from was not read"
"$BITGAUGE" sweep $tiny -t 1 --out d >out 2>err || fail "without: $(cat err)"
grep -q '"noise_floors": \[\]' d/machine.json || fail "floors from nowhere"
status=0
"$BITGAUGE" sweep $tiny -t 1 --out e --noise-from d/machine.json >out 2>err || status=$?
[ $status = 2 ] && grep -q 'has no noise floors' err || fail "without floors: $(cat err)"
[ ! -e e ] || fail "something half written is left"
