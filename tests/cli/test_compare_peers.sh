# bench/peers/compare: ratios of two programs whose speeds are known, and what it refuses.
script=$SOURCE/bench/peers/compare
. "$SOURCE/tests/cli/script.sh"

# Prompts at 300 and 100 tokens/s, generation at 15 and 30; both get 10 % slower every round.
fake() { # fake FILE PROMPT GEN EXTRA
    cat >"$1" <<SH
#!/bin/sh
echo "\$*" >>$1.log
n=\$(wc -l <$1.log)
awk -v n="\$n" 'BEGIN { f = 0.9 ^ n; printf "[{\"n_prompt\":512,\"n_gen\":0,\"samples_ts\":[%g]$4},\\n", $2 * f
    printf "{\"n_prompt\":0,\"n_gen\":64,\"samples_ts\":[%g]$4}]\\n", $3 * f }'
SH
    chmod +x "$1"
}
fake ./own 300 15 ', \"roof\":\"read memory\", \"roof_ts\":600'
fake ./theirs 100 30 ''
: >model.gguf

"$script" ./theirs --bitgauge ./own -m model.gguf -t 3 -r 4 >out 2>err || fail "$(cat err)"
grep -qE '^pp512 +peer .* 2\.70 +2\.70 to 2\.70' out || fail "prompt: $(cat out)"
grep -qE '^tg64 +peer .* 0\.45 +0\.45 to 0\.45' out || fail "generation: $(cat out)"
[ "$(wc -l <theirs.log)" = 4 ] || fail "not 4 rounds"
grep -q -- '-m model.gguf -p 512 -n 64 -t 3 -r 1 -o json' theirs.log || fail "$(cat theirs.log)"

"$script" a=./theirs "b=./theirs -fa 1" --bitgauge "./own --isa avx2" -m model.gguf -r 3 --json >out
grep -q '"peer": "b"' out || fail "no second peer: $(cat out)"
grep -q -- '-fa 1 -m' theirs.log || fail "the peer's own options are lost"
grep -q -- '--isa avx2' own.log || fail "bitgauge's own options are lost"

refused "no such program" nowhere -m model.gguf --bitgauge ./own
refused "no such file" ./theirs -m nowhere.gguf --bitgauge ./own
refused "3 rounds" ./theirs -m model.gguf --bitgauge ./own -r 2
refused "not JSON" true -m model.gguf --bitgauge ./own
printf '#!/bin/sh\necho "cannot load" >&2\nexit 3\n' >broken
chmod +x broken
refused "cannot load" ./broken -m model.gguf --bitgauge ./own
printf '#!/bin/sh\necho "[{}]"\n' >broken
refused "lacks fields" ./broken -m model.gguf --bitgauge ./own
"$script" --help | grep -q llama-bench
