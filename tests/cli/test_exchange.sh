# export and import: files, folders, and other programs' readers.
set -eu
R="$SOURCE/tests/fixtures/results/codelet"
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
cd "$T"
fail() { echo "$*" >&2; exit 1; }
refuses() {
    local want="$1" status=0
    shift
    "$BITGAUGE" "$@" >out 2>err || status=$?
    [ $status = 2 ] && grep -q -e "$want" err || fail "$*: exit status $status: $(cat err)"
}

formats=$("$BITGAUGE" export --help | sed -n 's/^  \([a-z-]*\) .*/\1/p' | grep -E 'bench|github')
[ "$(echo "$formats" | wc -l)" = 8 ] || fail "formats: $formats"
for f in $formats; do
    "$BITGAUGE" export "$R" --format "$f" -o "$f" || fail "$f"
    "$BITGAUGE" export "$R" -f "$f" | cmp -s - "$f" || fail "$f: standard output is another"
done
for f in llama-bench-json llama-bench-jsonl llama-bench-csv; do
    "$BITGAUGE" import "$f" --out "from-$f" || fail "import $f"
    "$BITGAUGE" export "from-$f" -f github-bigger >/dev/null || fail "export of from-$f"
done
"$BITGAUGE" import github-bigger github-smaller --out action || fail "import of two files"
"$BITGAUGE" export action -f bencher >b1 && grep -q '"kld_mean"' b1 || fail "quality is lost"

# Folders like any other.
"$BITGAUGE" recommend from-llama-bench-json >/dev/null || fail "recommend on an import"
PATH=/nonexistent "$BITGAUGE" report from-llama-bench-json --out page >/dev/null || fail "report on an import"
if command -v sqlite3 >/dev/null; then
    n=$(sqlite3 :memory: ".read llama-bench-sql" \
        "SELECT count(*) FROM llama_bench WHERE typeof(avg_ts) = 'real' AND n_gen = 64")
    [ "$n" -gt 50 ] || fail "sqlite3 sees $n tests"
fi

refuses "say which --format" export "$R"
refuses "bencher" export "$R" -f benchr
refuses "not a results folder" export "$SOURCE" -f bencher
refuses "say where to" import llama-bench-json
refuses "check the path" import missing --out new
refuses "holds results already" import llama-bench-json --out action
refuses "no/folder" export "$R" -f bencher -o no/folder/file
printf 'build_commit,n_prompt\n"x","12\n' >cut.csv
refuses "is it a file of llama-bench" import cut.csv --out new
printf '[\n{"n_prompt": 1,\n' >cut.json
refuses "cut.json: line [23]: is not JSON" import cut.json --out new
[ ! -e new ] || fail "a folder of a refused file"
# A full disk leaves no half file.
(trap '' XFSZ; ulimit -f 8; "$BITGAUGE" export "$R" -f google-benchmark -o full) 2>err && fail "full disk"
grep -q 'free some space\|disk full' err && [ ! -e full ] || fail "full disk: $(cat err)"
