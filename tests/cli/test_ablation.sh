# bench/search/ablation: with a bitgauge whose files say what they are, and whose measurements follow.
script=$SOURCE/bench/search/ablation
. "$SOURCE/tests/cli/script.sh"

# A file of N bytes for a format of N / 1000 bits; whatever is done to it takes off a tenth of its
# divergence, which is 10 / bytes. What is pruned costs 9 / 10 of that, if it was not joint.
cat >own <<'PY'
#!/usr/bin/env python3
import json, sys
a = sys.argv[1:]
open("own.log", "a").write(" ".join(a) + "\n")
def after(name):
    return a[a.index(name) + 1] if name in a else None
bytes_of = {"Q2_K": 2000, "Q4_K": 4000, "Q2_K_S": 2500}
if a[0] == "info":
    print(json.dumps({"tensors": [{"name": "w", "shape": [256, 4]}, {"name": "n", "shape": [256]}]}))
elif a[0] == "schemes":
    print(json.dumps({"schemes": [{"scheme": "Q2_K_S", "base": "Q2_K", "file_bytes": 2500},
                                  {"scheme": "Q4_K", "base": "Q4_K", "file_bytes": 4000},
                                  {"scheme": "Q3_K", "base": "Q3_K", "file_bytes": 3000}]}))
elif a[0] == "imatrix":
    open(after("-o"), "w").write("matrix")
elif a[0] == "search":
    open(after("--recipe-out"), "w").write("searched")
    if after("-o"):
        how = {"joint": 2.0, "first": 1.8, "last": 1.9}[after("--prune-order")]
        open(after("-o"), "w").write(("%g " % (10 / int(after("--size")) / how)).ljust(2900))
elif a[0] == "quantize":
    recipe = open(after("--recipe")).read() if "--recipe" in a else None
    if recipe and "Q3_K" in recipe:
        sys.exit("bitgauge: w: rows do not fit")
    if recipe == "searched":
        n, kld = 2900, 10 / 2900
    elif recipe:
        assert recipe.startswith("tensor,format,kept\nw,") and "\nn," not in recipe
        n = bytes_of[recipe.split(",")[3]]
        kld = 10 / n
    else:
        n = bytes_of.get(a[3], 3000)
        kld = 10 / n
    for step in ("--imatrix", "--feedback", "--tune-steps"):
        kld *= 0.9 if step in a else 1
    open(a[2], "w").write(("%g " % kld).ljust(n))
elif a[0] == "perplexity":
    klds = [float(open(f).read().split()[0]) * (2 if "--activations" in a else 1)
            for f in a[1:a.index("--base")]]
    said = [{"windows": int(after("--chunks") or 99), "kld_mean": kld, "kld_se": kld / 100,
             "ppl": 5 + kld, "ppl_se": 0.1} for kld in klds]
    print(json.dumps(said if len(said) > 1 else said[0]))
PY
chmod +x own
echo model >model.gguf
echo calib >calib
echo eval >text
echo "0.001" >peer.gguf

run() { "$script" model.gguf --bitgauge ./own --calib calib -f text -o folder "$@"; }
run --size 2900 --size 100 --tune-steps 3 --prune joint,first,last --share 10% --activations q4 \
    --other peer=peer.gguf >out 2>err || fail "exit $?: $(cat err)"
csv=folder/ablation.csv
row() { grep -F -- "$1" $csv || fail "no '$1' in: $(cat $csv)"; }
# The larger files are the better ones; a format whose rows do not fit is passed over.
row '2900,uniform,uniform Q2_K,text,99,2000,0.005000,0.000050,5.0050,0.1000,' >/dev/null
row '2900,scheme,Q2_K_S,text,99,2500,0.004000,' >/dev/null
row '2900,+ imatrix,Q2_K_S + imatrix,text,99,2500,0.003600,' >/dev/null
row '2900,+ feedback,Q2_K_S + imatrix + feedback,text,99,2500,0.003240,' >/dev/null
row '2900,+ allocation,searched 2900 + imatrix + feedback,text,99,2900,0.002793,' >/dev/null
row '2900,+ tuning,searched 2900 + imatrix + feedback + 3 steps,text,99,2900,0.002514,' >/dev/null
row '2900,"pruned, joint",searched 2900 pruned joint,text,99,2900,0.001724,' >/dev/null
row '2900,"pruned, first",' >/dev/null
row '2900,peer,peer,text,99,6,0.001000,0.000010,5.0010,0.1000,,,,,' >/dev/null
row '2900,"scheme, q4 act.",Q2_K_S,text,99,2500,0.008000,' | grep -q 'q4 activations' || fail "not said"
row '100,uniform,,text,,,,,,,,,,,nothing is so small' >/dev/null
grep -qF '| scheme | Q2_K_S | 2500 | text | 0.0040 ± 0.0000 | 5.004 ± 0.100 |' out || fail "$(cat out)"
grep -qF 'q4 act. (simulated)' out || fail "$(cat out)"
cmp -s folder/ablation.md <(sed '$d' out) || cmp -s folder/ablation.md out || fail "two tables"

# What is there is not made again; other windows are measured.
lines=$(wc -l <own.log)
run --size 2900 >out 2>err || fail "exit $?: $(cat err)"
[ "$(tail -n +$((lines + 1)) own.log | grep -vcE '^(schemes|info) ')" = 0 ] || fail "$(tail -3 own.log)"
run --size 2900 --windows 5 >out 2>err || fail "exit $?: $(cat err)"
tail -n +$((lines + 1)) own.log | grep -q -- '--chunks 5' || fail "no other windows"
tail -n +$((lines + 1)) own.log | grep -qE '^(quantize|search|imatrix)' && fail "made again"

# A recipe that is given takes the place of the search; only the rows that are asked for.
printf searched >recipe.csv
run --size 2900 --recipe 2900=recipe.csv --rows "+ allocation" >out 2>err || fail "exit $?: $(cat err)"
grep -q '^2900,+ allocation,recipe [0-9a-f]* + imatrix + feedback,text,99,2900,0.002793,' $csv || fail "$(cat $csv)"
[ "$(wc -l <$csv)" = 2 ] || fail "$(cat $csv)"

# Only of the formats that are asked for; results of all formats do not pass for theirs.
refused "list of formats" model.gguf --bitgauge ./own --calib calib -f text --size 4000 -o folder \
    --formats Q4_K
: >own.log
"$script" model.gguf --bitgauge ./own --calib calib -f text --size 4000 -o of --formats Q4_K >out 2>err ||
    fail "exit $?: $(cat err)"
grep -q '^search .* --formats Q4_K' own.log || fail "searched in others: $(cat own.log)"
grep -qE 'Q[23]_K' of/ablation.csv && fail "others: $(cat of/ablation.csv)"

refused "no such file" nowhere.gguf --calib calib -f text --size 1 -o folder
refused "calibrated on" model.gguf --calib calib -f calib --size 1 -o folder
refused "want a --share" model.gguf --calib calib -f text --size 1 -o folder --prune last
echo other >model.gguf
refused "another model" model.gguf --bitgauge ./own --calib calib -f text --size 1 -o folder
echo ok
