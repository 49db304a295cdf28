# bitgauge probe: what people see, what programs get, what is written, what is refused.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }
has() { grep -qE -- "$1" "$2" || { cat "$2"; fail "no '$1' in $2"; }; }

"$BITGAUGE" probe --quick > "$dir/text" 2> "$dir/messages"
for word in CPU Topology Caches Memory Limits ISAs Timer Noise Counters Energy; do
    has "^$word" "$dir/text"
done
grep -q Roofs "$dir/text" && fail "--quick measured"

# Two threads, whatever the machine; roofs at 1 and at 2.
"$BITGAUGE" probe --json --threads 2 --out "$dir/new/out" > "$dir/json" 2> "$dir/messages"
diff "$dir/json" "$dir/new/out/machine.json" || fail "printed and written JSON differ"
for key in bitgauge timestamp topology cpu isas limits memory roofs timer noise virtual os counters energy; do
    has "^  \"$key\": " "$dir/json"
done
for key in model vendor arch cores threads packages numa_nodes core_kinds caches cpu_quota \
    memory_limit affinity total available; do
    has "^    \"$key\": " "$dir/json"
done
for level in L1 L2 memory; do has "\"level\": \"$level\"" "$dir/json"; done
for unit in GB/s GFLOP/s Gop/s; do has "\"unit\": \"$unit\"" "$dir/json"; done
for kind in read flop int8op; do has "\"kind\": \"$kind\"" "$dir/json"; done
for counter in cycles instructions energy_package_j energy_dram_j; do
    has "\"name\": \"$counter\"" "$dir/json"
done
has '"isa": "ref"' "$dir/json"
has '"threads": 1,' "$dir/json"
has '"threads": 2,' "$dir/json"
# What is not available says why; what is has no reason.
[ "$(grep -c '"status": "unavailable"' "$dir/json")" -le "$(grep -c '"reason": "' "$dir/json")" ] ||
    fail "something is unavailable without a reason"
keys=$(grep -oE '^  "[a-z]+"' "$dir/json")
[ "$keys" = "$(echo "$keys" | LC_ALL=C sort)" ] || fail "the keys are not sorted"
files=("$dir/new/out/machine.json")
if grep -q '"topology": "hwloc"' "$dir/json"; then
    files+=("$dir/new/out/machine.xml")
    has '<topology' "${files[1]}"
else
    has 'built without hwloc' "$dir/text"
fi
host=$(uname -n)
for file in "${files[@]}"; do
    grep -q HostName "$file" && fail "a host name in $file"
    [ ${#host} -gt 4 ] && grep -qF "$host" "$file" && fail "the host name in $file"
    grep -qF "$dir" "$file" && fail "a path in $file"
done
[ "$(ls "$dir/new/out" | wc -l)" = ${#files[@]} ] || fail "leftovers in the folder"

# Misuse: exit 2, one line, nothing written.
status=0; "$BITGAUGE" probe --thread 2 2> "$dir/messages" || status=$?
[ $status = 2 ] || fail "exit $status for an unknown option"
has 'did you mean --threads' "$dir/messages"
: > "$dir/file"
status=0; "$BITGAUGE" probe --quick --out "$dir/file/below" > "$dir/text" 2> "$dir/messages" || status=$?
[ $status = 2 ] || fail "exit $status for a folder that cannot be"
[ ! -s "$dir/text" ] || fail "output beside the error"
[ "$(wc -l < "$dir/messages")" = 1 ] || fail "not one line of error"
