# history: runs in a store that git merges, their trend, and a baseline for compare.
set -eu
R="$SOURCE/tests/fixtures/results/codelet"
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
cd "$T"
fail() { echo "$*" >&2; exit 1; }
unset GITHUB_SHA GITHUB_HEAD_REF GITHUB_REF_NAME CI_COMMIT_SHA CI_COMMIT_REF_NAME CI_COMMIT_TIMESTAMP
export GIT_CEILING_DIRECTORIES="$T" GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
history() { "$BITGAUGE" history "$@"; }

# Results of a day: speeds of one scheme scaled by $2 percent.
measured() {
    rm -rf "$1"
    cp -r "$R" "$1"
    sed -i "s/\"created\": \".*\"/\"created\": \"2026-10-$3T03:00:00Z\"/" "$1/plan.json"
    awk -F, -v OFS=, -v k="$2" 'NR > 1 && $1 == "Q4_K_M" && $16 != "" {
        $16 *= k / 100; $17 *= k / 100; $18 *= k / 100 } { print }' "$R/results.csv" >"$1/results.csv"
}

measured a 100 01
run=$(history add store a --commit abc123 --branch main --samples) || fail "add"
case "$run" in 20261001T030000Z-abc123-*) ;; *) fail "run $run" ;; esac
cmp -s "store/samples/$run/samples.csv" a/samples.csv || fail "samples are not kept"
before=$(cat store/runs/*.csv | cksum)
status=0
history add store a --commit def456 2>err || status=$?
[ $status = 2 ] && grep -q 'already' err || fail "twice: $(cat err)"
history show store abc123 | grep -q '^Q4_K_M .*tg64 .*avx2 .*tps ' || fail "show of a commit"
history show store Q4_K_M --metric kld_mean | grep -q 'quality' || fail "show of a scheme"
measured b 101 02
[ "$(history baseline store b)" = "store/samples/$run" ] || fail "baseline"
status=0
history baseline store b --branch other 2>err || status=$?
[ $status = 1 ] || fail "baseline of a branch without runs: $status"

# CI's environment names the commit.
GITHUB_SHA=0123456789abcdef0123456789abcdef01234567 GITHUB_REF_NAME=topic \
    history add store b | grep -q '0123456789ab' || fail "GITHUB_SHA"
history list store | grep -q ' topic ' || fail "GITHUB_REF_NAME"
[ "$before" = "$(cat "store/runs/$run.csv" | cksum)" ] || fail "a run was rewritten"

# What two jobs add on two branches merges by itself.
if command -v git >/dev/null; then
    git init -q -b main repo
    history add repo/perf a --commit abc --branch main >/dev/null
    (cd repo && git add -A && git commit -qm 1 && git checkout -qb one)
    measured c 102 03
    (cd repo && history add perf ../b >../run && git add -A && git commit -qm 2)
    grep -q "$(cd repo && git rev-parse --short=12 HEAD~1)" run || fail "git's commit: $(cat run)"
    (cd repo && git checkout -q main && git checkout -qb two && history add perf ../c >/dev/null &&
        git add -A && git commit -qm 3 && git merge -q --no-edit one) || fail "the branches do not merge"
    [ "$(history list repo/perf | wc -l)" = 4 ] || fail "merged: $(history list repo/perf)"
fi

# A trend with a step of 8 %.
for day in 03 04 05 06 07 08 09 10 11 12 13 14; do
    measured d $((99 + 1$day % 3 - (1$day > 108 ? 8 : 0))) $day
    history add store d --commit "c0ffee$day" --branch main >/dev/null
done
history trend store --test tg64 --isa avx2 --branch main >trend
grep -q 'Q4_K_M' trend && [ "$(grep -c 'WORSE from c0ffee09' trend)" = 2 ] || fail "trend: $(cat trend)"
[ "$(grep -c 'from' trend)" = 2 ] || fail "changes where there are none: $(cat trend)"
if command -v gnuplot >/dev/null; then
    history trend store --test tg64 --isa avx2 -o drawn >/dev/null 2>err && [ ! -s err ] || fail "$(cat err)"
    [ "$(ls drawn/*.svg | wc -l)" = 2 ] && [ "$(ls -A drawn | wc -l)" = 4 ] || fail "drawn: $(ls -A drawn)"
    grep -q 'Q4_K_M' drawn/*-t2.svg && grep -q 'c0ffee' drawn/*-t2.svg || fail "labels"
fi

refuses() {
    local want="$1" status=0
    shift
    history "$@" >out 2>err || status=$?
    [ $status = 2 ] && grep -q -e "$want" err || fail "$*: exit status $status: $(cat err)"
}
refuses "history add DIR" list missing
refuses "no action" delete store
refuses "wants more" show store
refuses "has no run" show store nothing
refuses "no such number" trend store --metric watts
refuses "is none" add store c --commit 'a/b'
refuses "cannot create the folder" add "$R/plan.json" c
