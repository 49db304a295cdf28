# bench/peers/agree: against a llama-perplexity that is known to say what it is told.
script=$SOURCE/bench/peers/agree
. "$SOURCE/tests/cli/script.sh"

# A bitgauge whose files say their scheme; a peer that is 0.4 % off, but for Q2_K, which is 1 % off,
# and crashes with Q3_K_S.
cat >own <<'SH'
#!/bin/sh
case $1 in
quantize) echo "$4 $6" >"$3" ;;
perplexity) echo '{"ppl": 10}' ;;
imatrix) : >imatrix.made ;;
schemes) echo '{"schemes": [{"scheme": "Q4_0"}, {"scheme": "Q2_K"}, {"scheme": "Q3_K_S"}]}' ;;
esac
SH
cat >theirs <<'SH'
#!/bin/sh
echo "$*" >>theirs.log
grep -q Q3_K_S "$2" && { echo "unknown type" >&2; exit 134; }
grep -q Q2_K "$2" && { echo "[1]9,[2]10.1,[3]8,"; exit; }
grep -q Q5_0 "$2" && { echo "[1]9,[2]10.1,[3]8,[8]10.01,"; exit; }
echo "[1]9,[2]10.0400,[3]8,"
SH
chmod +x own theirs
: >model.gguf
: >text

status=0
"$script" ./theirs --bitgauge ./own -m model.gguf -f text --imatrix text -t 3 --chunks 2 >out 2>err || status=$?
[ $status = 1 ] || fail "exit $status: $(cat err)"
[ -e imatrix.made ] || fail "no importance matrix"
grep -qE '^model.gguf +Q4_0 +2 +10\.0000 +10\.0400 +-0\.398%$' out || fail "$(cat out)"
grep -qE '^model.gguf +Q4_0\+imatrix ' out || fail "$(cat out)"
grep -qE '^model.gguf +Q2_K .* -0\.990%  FAILED beyond' out || fail "$(cat out)"
grep -qE '^model.gguf +Q3_K_S .*FAILED llama-perplexity: exit 134: unknown type' out || fail "$(cat out)"
grep -q '^6 files, 4 failed; the largest difference is 0.990 %' out || fail "$(cat out)"
grep -q -- '-f text -c 512 -b 512 --chunks 3 -t 3' theirs.log || fail "$(cat theirs.log)"
"$script" ./theirs --bitgauge ./own -m model.gguf -f text --chunks 2 --schemes Q4_0 --json >out || fail "exit $?"
grep -q '"scheme": "Q4_0"' out || fail "$(cat out)"
# What few windows leave open is settled by more.
"$script" ./theirs --bitgauge ./own -m model.gguf -f text --chunks 2 --schemes Q5_0 >out || fail "$(cat out)"
grep -qE '^model.gguf +Q5_0 +8 +10\.0000 +10\.0100 ' out || fail "$(cat out)"
refused "no such program" nowhere -m model.gguf -f text --bitgauge ./own
refused "no such file" ./theirs -m nowhere.gguf -f text --bitgauge ./own
echo ok
