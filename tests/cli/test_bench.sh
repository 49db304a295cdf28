# bench: the fields that llama.cpp's compare-llama-bench.py asks for, in every format.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
cd "$T"
fail() { echo "$*" >&2; exit 1; }
bench() { "$BITGAUGE" bench --no-roof "$@" 2>err || fail "bench $*: $(cat err)"; }

keys="cpu_info gpu_info backends n_gpu_layers tensor_buft_overrides model_filename model_type
n_batch n_ubatch embeddings cpu_mask cpu_strict poll n_threads type_k type_v use_mmap no_kv_offload
split_mode main_gpu tensor_split flash_attn n_prompt n_gen n_depth build_commit test_time avg_ts
build_number model_size model_n_params avg_ns stddev_ns stddev_ts no_op_offload
n_cpu_moe devices load_mode no_host repack fit_target fit_min_ctx
scheme isa tier roof roof_ts roof_share roof_condition"

# A model of a few thousand weights, which quantizes in no time.
TINY="$SOURCE/tests/fuzz/corpus/gguf/ok-model-runs"
bench -m "$TINY" -p 8,16 -n 2 -d 0-4+4 -r 2 -t 1 --schemes Q4_K_M -o jsonl >lines
[ "$(wc -l <lines)" = 6 ] || fail "jsonl: $(cat lines)"
while read -r line; do
    for k in $keys samples_ns samples_ts samples_roof_ts; do
        case "$line" in *"\"$k\": "*) ;; *) fail "no $k in $line" ;; esac
    done
done <lines
[ "$(grep -c '"n_prompt": 16, "n_gen": 0, "n_depth": 4' lines)" = 1 ] || fail "combinations"
grep -q '"model_type": "llama 0M Q4_K - Medium"' lines || fail "model type: $(cat lines)"
grep -Eq '"samples_ns": \[[0-9]+, [0-9]+\]' lines || fail "samples: $(cat lines)"

bench -p 8 -n 0 -r 1 -o json >json
[ "$(grep -c '"n_prompt": 8,' json)" = 1 ] || fail "json: $(cat json)"
grep -q '"stddev_ts": null' json || fail "one repetition has no deviation"
[ "$(head -1 json)" = "[" ] && [ "$(tail -1 json)" = "]" ] || fail "json is no array"

bench -p 8 -n 2 -r 1 -o csv >csv
[ "$(wc -l <csv)" = 3 ] || fail "csv: $(cat csv)"
for k in $keys; do head -1 csv | tr ',' '\n' | grep -qx "$k" || fail "no $k in csv"; done

bench -p 8 -n 2 -d 3 -r 2 >md
grep -q '| model  *|  *size |  *params | backend  *| threads |  *test |  *t/s |' md || fail "md"
grep -q 'pp8 @ d3 .* ± ' md || fail "md: $(cat md)"

# A prompt and generation in one test, and batches: what is evaluated at once changes, not the count.
bench -m "$TINY" -p 0 -n 0 -pg 8,4 -pg 16,2 -b 4,64 -ub 8 -r 1 >md
[ "$(grep -c 'pp8+tg4 ' md)" = 2 ] && [ "$(grep -c 'pp16+tg2 ' md)" = 2 ] || fail "-pg: $(cat md)"
head -1 md | grep -q '| n_batch | n_ubatch | ' || fail "-b, -ub: $(cat md)"
[ "$(grep -c '|  *4 |  *8 | ' md)" = 2 ] || fail "-b, -ub: $(cat md)"

# SQL: a table, a row a test, and quotes in a path that are doubled.
cp "$TINY" "it's.gguf"
bench -m "it's.gguf" -p 8 -n 2 -r 1 -o sql >sql
[ "$(grep -c '^CREATE TABLE IF NOT EXISTS llama_bench ($' sql)" = 1 ] || fail "sql: $(cat sql)"
[ "$(grep -c '^INSERT INTO llama_bench (build_commit, ' sql)" = 2 ] || fail "sql: $(cat sql)"
grep -q "'it''s.gguf'" sql || fail "sql: $(cat sql)"
grep -Eq '^  stddev_ns INTEGER,$' sql && grep -Eq '^  avg_ts REAL,$' sql || fail "sql: $(cat sql)"
if command -v sqlite3 >sqlite; then
    [ "$(sqlite3 <sql 2>&1)" = "" ] || fail "sqlite3: $(sqlite3 <sql 2>&1)"
fi

refuses() {
    local want="$1" status=0
    shift
    "$BITGAUGE" bench --no-roof "$@" >out 2>err || status=$?
    [ $status = 2 ] && [ ! -s out ] || fail "$*: exit status $status: $(cat out)"
    grep -q -e "$want" err || fail "$*: $(cat err)"
}
refuses "check the path" -m missing.gguf
refuses "neither a number nor a range" -p 1x
refuses "neither a number nor a range" -n 8-4
refuses "neither a number nor a range" -d "1-64*1"
refuses "up to 2^24" -p 99999999999
refuses "1 to 4096" -t 0
refuses "from 1 on" -b 0
refuses "up to 4096" -ub 8192
refuses "two numbers" -pg 512
refuses "md|csv|json|jsonl|sql" -o xml
refuses "avx9" --isa avx9
refuses "Q4_K" --schemes Q4_K_X
