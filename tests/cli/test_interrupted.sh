# Nothing lost, nothing twice: kills at ten random moments, a full disk, a folder that cannot be written.
set -eu
# In memory where there is room for that: every saving waits for the disk.
T=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
here=
cleanup() {
    if [ -n "$here" ]; then umount "$T/disk" || true; fi
    rm -rf "$T"
}
trap cleanup EXIT
cd "$T"
fail() { echo "$*" >&2; exit 1; }
TINY="$SOURCE/tests/fuzz/corpus/gguf/ok-model-runs"
REPS=30
CELLS=4
tiny="-m $TINY --schemes Q8_0,F16 -p 16 -n 4 --reps $REPS --quality off --time-limit 0 --no-report --no-roof"

# Scheme, set, test, threads, rep, position, seconds: these columns need no quotes.
samples() { tail -n +2 "$1/samples.csv" | cut -d, -f1-7 | sort; }

# complete FOLDER: every repetition of every cell, once.
complete() {
    [ "$(grep -c ',ok,' "$1/results.csv")" = $CELLS ] || fail "rows: $(cat "$1/results.csv")"
    [ "$(samples "$1" | wc -l)" = $((CELLS * REPS)) ] || fail "$(samples "$1" | wc -l) repetitions"
    [ "$(samples "$1" | cut -d, -f1-5 | sort -u | wc -l)" = $((CELLS * REPS)) ] || fail "one twice"
    [ "$(samples "$1" | cut -d, -f6 | sort -u | wc -l)" = $((CELLS * REPS)) ] ||
        fail "a position twice"
    [ -z "$(find "$1" -name '*tmp*')" ] || fail "a temporary file is left: $(ls "$1")"
}

# kill_after SECONDS FOLDER: succeeds if the sweep was still running.
kill_after() {
    local status=0
    "$BITGAUGE" sweep $tiny --out "$2" >out 2>err &
    local pid=$!
    sleep "$1"
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || status=$?
    [ $status = 137 ] || { [ $status = 0 ] && return 1; fail "sweep: $(cat err)"; }
}

start=$(date +%s%N)
"$BITGAUGE" sweep $tiny --out whole >out 2>err || fail "sweep: $(cat err)"
took=$((($(date +%s%N) - start) / 1000000))
complete whole

# Ten moments from a seed, anywhere in what a sweep takes.
kills=0
folder=0
partial=
for share in $(awk 'BEGIN { srand(20260131); for (i = 0; i < 40; i++) printf "%.3f\n", rand() }'); do
    [ $kills -lt 10 ] || break
    moment=$(awk "BEGIN { print 0.02 + 0.9 * $share * $took / 1000 }")
    [ -e k$folder/samples.csv ] && samples k$folder >before || : >before
    if kill_after $moment k$folder; then
        kills=$((kills + 1))
    else
        complete k$folder
        folder=$((folder + 1))
        took=$((took * 2 / 3)) # this machine was slower before
        continue
    fi
    [ -e k$folder/samples.csv ] || continue
    samples k$folder >after
    [ -z "$(comm -23 before after)" ] || fail "lost: $(comm -23 before after)"
    # For what follows, a folder that was stopped on its way.
    n=$(wc -l <after)
    if [ -s k$folder/plan.json ] && [ $n -gt 0 ] && [ $n -lt $((CELLS * REPS)) ]; then
        rm -rf partial
        cp -r k$folder partial
    fi
done
[ $kills = 10 ] || fail "only $kills kills"
[ -e k$folder/samples.csv ] && samples k$folder >before || : >before
"$BITGAUGE" sweep $tiny --out k$folder >out 2>err || fail "resume: $(cat err)"
samples k$folder >after
[ -z "$(comm -23 before after)" ] || fail "lost: $(comm -23 before after)"
complete k$folder

# Killed while it wrote its first files, which is hard to hit.
mkdir begun
head -1 whole/results.csv >begun/results.csv
head -1 whole/samples.csv >begun/samples.csv
cp begun/samples.csv begun/plan.json.tmp.a1B2c3
"$BITGAUGE" sweep $tiny --out begun >out 2>err || fail "killed at once: $(cat err)"
complete begun

# Each of these must say what is wrong and leave the folder as it was.
if [ ! -d partial ]; then # no kill came between two savings
    cp -r whole partial
    sed -i '$d' partial/samples.csv
    sed -i '$d' partial/results.csv
fi
unchanged() {
    local f
    for f in results.csv samples.csv plan.json; do
        cmp -s partial/$f "$1/$f" || fail "$2: $f changed"
    done
    [ -z "$(find "$1" -name '*tmp*')" ] || fail "$2: a temporary file is left: $(ls "$1")"
}
# refuses FOLDER NAME WORDS: exit status 2, which says these words.
refuses() {
    local status=0
    "$BITGAUGE" sweep $tiny --out "$1" >out 2>err || status=$?
    [ $status = 2 ] || fail "$2: exit status $status: $(cat err)"
    grep -qE "$3" err || fail "$2: $(cat err)"
}

# A limit on the size of files, which is there for everybody.
cp -r partial limited
trap '' XFSZ
( ulimit -f 1; refuses limited "a size limit" 'cannot .*File too large' )
unchanged limited "a size limit"
( ulimit -f 1; refuses new "a size limit, new" 'cannot .*File too large' )

mkdir disk
if mount -t tmpfs -o size=512k none disk 2>/dev/null; then
    here=yes
    cp -r partial disk/r
    dd if=/dev/zero of=disk/filler bs=1k 2>/dev/null || true
    refuses disk/r "a full disk" 'No space left.*free some space'
    unchanged disk/r "a full disk"
    refuses disk/new "a full disk, new" 'No space left'
    [ ! -e disk/new/results.csv ] || fail "a full disk: half a folder"
    rm disk/filler
    mount -o remount,ro disk
    refuses disk/r "a read-only disk" 'Read-only.*choose a folder that can be written'
    unchanged disk/r "a read-only disk"
    refuses disk/new "a read-only disk, new" 'Read-only'
    mount -o remount,rw disk
    "$BITGAUGE" sweep $tiny --out disk/r >out 2>err || fail "after the full disk: $(cat err)"
    complete disk/r
else
    echo "skipped: a full disk (no tmpfs can be mounted here)"
fi

if [ "$(id -u)" != 0 ]; then
    cp -r partial locked
    chmod a-w locked
    refuses locked "a read-only folder" 'Permission denied.*check the permissions'
    unchanged locked "a read-only folder"
    chmod u+w locked
else
    echo "skipped: a folder without write permission (root may write anyway)"
fi
