# profiles/ci: the action's and the GitLab job's files, and their steps run on recorded results.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
cd "$T"
fail() { echo "$*" >&2; exit 1; }
CI="$SOURCE/profiles/ci"
for script in "$CI/gate" "$CI/install"; do
    bash -n "$script" || fail "$script"
    [ -x "$script" ] || fail "$script cannot be run"
done
bash "$CI/gate" --help | grep -q 'BITGAUGE_FAIL_ON' || fail "gate --help"
command -v git >/dev/null || { echo "git is missing: the gate is not tested"; exit 0; }
for v in $(env | sed -n 's/^\(GITHUB_[A-Z_]*\|CI_[A-Z_]*\|BITGAUGE_[A-Z_]*\)=.*/\1/p'); do unset "$v"; done
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b

# Results of three schemes with 20 repetitions of each cell, and a program whose sweep hands them out
# with the speed of Q4_K_M scaled to $(cat speed) percent.
R="$SOURCE/tests/fixtures/results/codelet"
mkdir -p release/bin release/share/bitgauge/profiles recorded
cp "$R/machine.json" "$R/plan.json" recorded
awk -F, 'NR == 1 || ($1 ~ /^(Q4_0|Q4_K_M|Q8_0)$/ && $9 == "avx2" && $11 == 2 && $12 != "quality")' \
    "$R/results.csv" >recorded/results.csv
cat >release/bin/bitgauge <<EOF
#!/bin/sh
[ "\$1" = sweep ] || exec "$BITGAUGE" "\$@"
while [ "\$1" != --out ]; do shift; done
cp -r "$T/recorded" "\$2"
sed -i "s/\"created\": \".*\"/\"created\": \"2026-10-01T00:\$(cat "$T/minute"):00Z\"/" "\$2/plan.json"
awk -F, -v OFS=, -v speed="\$(cat "$T/speed")" -v seed="\$(cat "$T/minute")" '
    BEGIN { print "scheme,isa,test,threads,rep,position,seconds,tokens" }
    NR > 1 { tokens = \$13 + \$14; k = \$1 == "Q4_K_M" ? speed / 100 : 1
        for (i = 0; i < 20; i++)
            print \$1, \$9, \$12, \$11, i, n++, tokens / (\$16 * k) * (1 + ((i * 7 + seed) % 11) / 2000), tokens }
' "$T/recorded/results.csv" >"\$2/samples.csv"
EOF
chmod +x release/bin/bitgauge
cp -r "$CI" release/share/bitgauge/profiles/
mv release bitgauge-9 && tar -czf "bitgauge-9-$(uname -m).tar.gz" bitgauge-9

git init -q --bare -b main remote.git
git clone -q remote.git checkout 2>/dev/null
(cd checkout && git checkout -qb main 2>/dev/null; echo 1 >file && git add -A && git commit -qm 1 &&
    git push -q origin main)

# gate SPEED BRANCH WANTED-STATUS: one job.
minute=10
job() {
    local status=0
    minute=$((minute + 1))
    echo "$1" >speed
    echo "$minute" >minute
    rm -rf results
    (cd checkout && BITGAUGE="$T/bitgauge-9/bin/bitgauge" BITGAUGE_OUT="$T/results" BITGAUGE_BRANCH="$2" \
        BITGAUGE_COMPARE="--threshold 5%" bash "$CI/gate") >out 2>err || status=$?
    [ "$status" = "$3" ] || fail "job $*: exit status $status: $(cat out err)"
}
runs() { git -C remote.git ls-tree -r --name-only bitgauge-history 2>/dev/null | grep -c '^runs/.*csv' || true; }
job 100 main 0
grep -q 'no run of main' results/summary.md && [ "$(runs)" = 1 ] || fail "the first run: $(cat err)"
job 100 topic 0
grep -q '<testsuite' results/junit.xml && [ "$(runs)" = 1 ] || fail "a branch: $(runs) runs"
job 90 topic 3
grep -q 'Q4_K_M' results/summary.md && grep -q '<failure' results/junit.xml || fail "a slower branch"
grep -q '^::error' out || fail "no annotation: $(cat out)"
BITGAUGE_FAIL_ON=never job 90 topic 0
job 100 main 0
[ "$(runs)" = 2 ] && grep -q 'Q8_0 .* 2 runs' results/summary.md || fail "the trend: $(cat results/summary.md)"
[ -z "$(git -C checkout worktree list | sed 1d)" ] || fail "a working tree was left"
if command -v xmllint >/dev/null; then xmllint --noout results/junit.xml || fail "junit"; fi

# Two jobs push at once: the second finds the first's run there, and merges.
mkdir -p checkout/.git/hooks
cat >checkout/.git/hooks/pre-push <<EOF
#!/bin/sh
[ ! -e "$T/raced" ] || exit 0
touch "$T/raced"
unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE
cd "$T" && git clone -q -b bitgauge-history remote.git other && cd other && mkdir -p notes &&
    echo x >notes/x && git add -A && git commit -qm other && git push -q
EOF
chmod +x checkout/.git/hooks/pre-push
job 100 main 0
[ -e raced ] && [ "$(runs)" = 3 ] || fail "a race: $(runs) runs"
git -C remote.git cat-file -e bitgauge-history:notes/x || fail "the other job's commit is lost"

refuses() {
    local want="$1" status=0
    shift
    (cd checkout && env "$@" bash "$CI/gate") >out 2>err || status=$?
    [ $status = 2 ] && grep -q -e "$want" err || fail "$*: exit status $status: $(cat err)"
}
refuses "there already" BITGAUGE="$BITGAUGE" BITGAUGE_OUT="$T/results"
refuses "no program" BITGAUGE=nothing
refuses "cannot reach" BITGAUGE="$BITGAUGE" BITGAUGE_REMOTE="$T/nowhere"
refuses "yes, no or auto" BITGAUGE="$BITGAUGE" BITGAUGE_KEEP=maybe

# Releases: the right sum, the wrong one, and what is none.
archive="$T/bitgauge-9-MACHINE.tar.gz"
sum=$(sha256sum "bitgauge-9-$(uname -m).tar.gz" | cut -d ' ' -f 1)
bash "$CI/install" installed "$archive" "$sum" 2>/dev/null | grep -q 'installed/bin/bitgauge' || fail "install"
for bad in "$archive ${sum%?}x" "$T/missing.tar.gz" "http://localhost/x.tar.gz" "$R/plan.json"; do
    status=0
    # shellcheck disable=SC2086
    bash "$CI/install" elsewhere $bad >/dev/null 2>&1 || status=$?
    [ $status = 2 ] || fail "install $bad: $status"
done

python3 -c 'import yaml' 2>/dev/null || { echo "PyYAML is missing: the steps are not tested"; exit 0; }
mkdir steps runner
python3 "$SOURCE/tests/cli/ci_steps.py" "$SOURCE" steps "inputs.archive=$archive" "inputs.sha256=$sum" \
    "inputs.compare=--threshold 5%" github.event.repository.default_branch=main || fail "the files"
for step in steps/*.sh; do bash -n "$step" || fail "$step"; done
[ "$(ls steps | wc -l)" = 3 ] || fail "steps: $(ls steps)"
export RUNNER_TEMP="$T/runner" GITHUB_ACTION_PATH="$CI" GITHUB_SERVER_URL=https://example.org
outputs() { sed "s/\([^=]*\)=\(.*\)/output_$1_\1='\2'/" "$T/outputs"; }
GITHUB_OUTPUT="$T/outputs" bash steps/step0.sh 2>/dev/null || fail "step 0"
outputs install >set
echo 80 >speed
echo 40 >minute
status=0
(set -a && . "$T/set" && set +a && cd checkout && GITHUB_OUTPUT="$T/outputs" GITHUB_REF_NAME=topic \
    GITHUB_STEP_SUMMARY="$T/page" bash "$T/steps/step1.sh") >out 2>err || status=$?
[ $status = 3 ] && grep -q '^status=3$' outputs && grep -q 'Q4_K_M' page || fail "the action: $status $(cat err)"

echo 50 >minute
(cd checkout && BITGAUGE_ARCHIVE="$archive" BITGAUGE_SHA256="$sum" CI_DEFAULT_BRANCH=main \
    CI_COMMIT_REF_NAME=topic BITGAUGE_COMPARE="--threshold 50%" bash "$T/steps/gitlab.sh") >out 2>err ||
    fail "the GitLab job: $(cat err)"
[ -s checkout/bitgauge-results/junit.xml ] || fail "no junit.xml"
