# The same seed gives the same recipe and file, also when the search was killed on the way.
tiny=ok-model-lists # two layers
. "$SOURCE/tests/cli/tiny_search.sh"
search="F16.gguf --size 11kB --calib calib.txt --text eval.txt --chunks 1 --stop-after 100"

"$BITGAUGE" search $search --recipe-out a.csv -o a.gguf > out 2> err || fail "search: $(cat err)"
grep -q 'with a larger --stop-after it goes on' out || fail "$(cat out)"
grep -q '^# 100 evaluations' a.csv || fail "not so many evaluations: $(head -3 a.csv)"

"$BITGAUGE" search $search --recipe-out b.csv -o b.gguf > out 2> err &
pid=$!
lines() { [ ! -e b.csv.evaluations ] || wc -l < b.csv.evaluations; }
for i in $(seq 2000); do [ "0$(lines)" -ge 30 ] && break; sleep 0.005; done
kill -9 $pid 2> err || true
wait $pid 2> err || true
made=$(lines)
[ ! -e b.csv ] || made=all # it was quicker
"$BITGAUGE" search $search --recipe-out b.csv -o b.gguf > out 2> err || fail "resumed: $(cat err)"
cmp a.csv b.csv || fail "another recipe after a kill ($made evaluations)"
cmp a.gguf b.gguf || fail "another file after a kill ($made evaluations)"

# A disk that fills up, here a limit on the size of files, costs no more than that it cannot be resumed.
(ulimit -f 1; "$BITGAUGE" search $search --recipe-out full.csv > out 2> err) || fail "full disk: $(cat err)"
grep -q 'full.csv.evaluations: cannot write' err || fail "no warning: $(cat err)"
cmp a.csv full.csv || fail "another recipe with a full disk"

# Threads do not change it, another seed may.
"$BITGAUGE" search $search -t 1 --recipe-out c.csv -o c.gguf > out 2> err || fail "-t 1: $(cat err)"
cmp a.csv c.csv || fail "another recipe with one thread"
cmp a.gguf c.gguf || fail "another file with one thread"
echo "killed after: $made"
