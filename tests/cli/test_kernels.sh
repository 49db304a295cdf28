#!/bin/bash
# bitgauge kernels: the list, the check, and its exit status.
set -eu
fail() { echo "FAIL: $*" >&2; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

"$BITGAUGE" kernels > "$dir/list"
for format in F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS TQ1_0 TQ2_0
do
    grep -q "^$format  *gemv  *ref  *ref " "$dir/list" || fail "$format has no reference"
done
grep -q '^ref: works here$' "$dir/list" || fail "no verdict on ref"

"$BITGAUGE" kernels --json | grep -q '"kernels"' || fail "no JSON"

"$BITGAUGE" kernels --check --format q4_k --cols 4 > "$dir/check"
tail -1 "$dir/check" | grep -Eq '^[1-9][0-9]* passed, 0 failed$' || fail "check: $(tail -1 "$dir/check")"

"$BITGAUGE" kernels --bench --isa native --format Q4_K --rows 32 -k 256 --cols 4 --seconds 0.001 \
    > "$dir/bench"
grep -q '^Q4_K .*gemm .*GFLOP\|^Q4_K .*gemm .*of int8op$' "$dir/bench" || fail "bench: $(cat "$dir/bench")"

status=0; "$BITGAUGE" kernels --isa avx22 2> "$dir/err" || status=$?
[ $status = 2 ] || fail "unknown set: exit $status"
grep -q "did you mean 'avx2'" "$dir/err" || fail "$(cat "$dir/err")"
status=0; "$BITGAUGE" kernels --check --format Q9_K 2> "$dir/err" || status=$?
[ $status = 2 ] || fail "unknown format: exit $status"
status=0; "$BITGAUGE" kernels --bench --format Q4_K -k 100 --seconds 0.001 2> "$dir/err" || status=$?
[ $status = 2 ] || fail "odd length: exit $status"
grep -q "multiple of 256" "$dir/err" || fail "$(cat "$dir/err")"
