# In a control group with half a CPU: threads follow the quota, and the results say so.
set -eu
T=$(mktemp -d)
group=
cleanup() {
    if [ -n "$group" ]; then
        for i in 1 2 3 4 5; do rmdir "$group" 2>/dev/null && break || sleep 0.2; done
    fi
    rm -rf "$T"
}
trap cleanup EXIT
cd "$T"
fail() { echo "$*" >&2; exit 1; }
root=/sys/fs/cgroup
name=bitgauge-test-$$

# v2, then v1 where the controller is mounted.
if grep -qw cpu $root/cgroup.controllers 2>/dev/null && mkdir "$root/$name" 2>/dev/null; then
    group="$root/$name"
    echo "50000 100000" 2>/dev/null >"$group/cpu.max" || true
else
    for cpu in $root/cpu $root/cpu,cpuacct; do
        mkdir "$cpu/$name" 2>/dev/null || continue
        group="$cpu/$name"
        echo 100000 >"$group/cpu.cfs_period_us" && echo 50000 >"$group/cpu.cfs_quota_us"
        break
    done
fi
inside() { sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" "$@"; }
if [ -z "$group" ] || ! inside true 2>/dev/null || ! cat "$group"/cpu.max "$group"/cpu.cfs_quota_us \
        2>/dev/null | grep -q '^50000'; then
    echo "skipped: no control group with a CPU quota can be made here"
    exit 0
fi

inside "$BITGAUGE" probe --quick --json >json 2>err || fail "probe: $(cat err)"
grep -q '"cpu_quota": 0.5,' json || fail "quota: $(grep quota json)"
grep -q '"default_threads": 1,' json || fail "threads: $(grep threads json)"
inside "$BITGAUGE" probe --quick 2>err | grep -q 'CPU quota 0.50; default is 1 thread' ||
    fail "probe does not say so"

inside "$BITGAUGE" sweep --schemes Q8_0 -p 64 -n 16 --reps 20 --quality off --time-limit 0 --no-roof \
    --out r >out 2>err || fail "sweep: $(cat err)"
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "threads") c = i; next }
    { gsub(/"[^"]*"/, ""); if ($c != 1) exit 1 }' r/results.csv || fail "more threads than the quota"
grep -q 'CPU quota of the control group: 0.50 cores.* 1 thread' r/report.md ||
    fail "the report does not say so"
# Half a CPU means to be stopped again and again, unless others take the rest of it.
if [ "$(sed -n 's/^nr_throttled //p' "$group/cpu.stat")" -gt 20 ]; then
    grep -q throttling r/samples.csv || fail "no repetition is marked: $(cat r/samples.csv)"
fi
