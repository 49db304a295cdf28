#include "exchange/llama_bench.h"

#include <string.h>

const bg_llama_extra bg_llama_extras[BG_LLAMA_EXTRAS] = {
    {"scheme", BG_COL_SCHEME, 1}, {"isa", BG_COL_ISA, 1}, {"tier", BG_COL_TIER, 1},
    {"roof", BG_COL_ROOF, 1}, {"roof_ts", BG_COL_ROOF_VALUE, 1},
    {"roof_share", BG_COL_ROOF_PCT, 100}, {"roof_condition", BG_COL_ROOF_COND, 1},
    {"layers_timed", BG_COL_LAYERS, 1}, {"load_s", BG_COL_LOAD_S, 1},
};

static bool add_fields(json_t *o, const bg_llama_test *t)
{
    bool mapped = t->load_mode && strcmp(t->load_mode, "mmap") == 0;
    const struct { const char *name; json_t *value; } fields[] = {
        {"build_commit", bg_json_text(t->build_commit)},
        {"build_number", json_integer(t->build_number)},
        {"cpu_info", bg_json_text(t->cpu)},
        {"gpu_info", json_string("")},
        {"backends", json_string("CPU")},
        {"model_filename", bg_json_text(t->model_filename)},
        {"model_type", bg_json_text(t->model_type)},
        {"model_size", bg_json_count(t->model_size)},
        {"model_n_params", bg_json_count(t->model_params)},
        {"n_batch", json_integer(t->n_batch)},
        {"n_ubatch", json_integer(t->n_ubatch)},
        {"n_threads", json_integer(t->n_threads)},
        {"cpu_mask", json_string("0x0")},
        {"cpu_strict", json_true()},
        {"poll", json_integer(0)},
        {"type_k", json_string("f16")},
        {"type_v", json_string("f16")},
        {"n_gpu_layers", json_integer(0)},
        {"n_cpu_moe", json_integer(0)},
        {"split_mode", json_string("none")},
        {"main_gpu", json_integer(0)},
        {"no_kv_offload", json_false()},
        {"flash_attn", json_integer(0)},
        {"devices", json_string("auto")},
        {"tensor_split", json_string("0.00")},
        {"tensor_buft_overrides", json_string("none")},
        {"use_mmap", json_boolean(mapped)}, /* load_mode took its place in llama.cpp v0.5.0 */
        {"load_mode", bg_json_text(t->load_mode)},
        {"embeddings", json_false()},
        {"no_op_offload", json_integer(0)},
        {"no_host", json_false()},
        {"repack", json_false()},
        {"fit_target", json_integer(0)},
        {"fit_min_ctx", json_integer(0)},
        {"n_prompt", json_integer(t->n_prompt)},
        {"n_gen", json_integer(t->n_gen)},
        {"n_depth", json_integer(t->n_depth)},
        {"test_time", bg_json_text(t->test_time)},
        {"avg_ns", bg_json_count(t->avg_ns)},
        {"stddev_ns", bg_json_count(t->stddev_ns)},
        {"avg_ts", bg_json_real(t->avg_ts)},
        {"stddev_ts", bg_json_real(t->stddev_ts)},
    };
    bool whole = true;
    for (size_t i = 0; i < BG_COUNT(fields); i++)
        whole = json_object_set_new(o, fields[i].name, fields[i].value) == 0 && whole;
    return whole;
}

static bool add_samples(json_t *o, const bg_llama_test *t)
{
    json_t *ns = json_array(), *ts = json_array();
    double tokens = (double)(t->n_prompt + t->n_gen);
    for (size_t i = 0; i < t->n_samples; i++) {
        json_array_append_new(ns, bg_json_count(t->samples_ns[i]));
        json_array_append_new(ts, bg_json_real(tokens / (t->samples_ns[i] * 1e-9)));
    }
    return json_object_set_new(o, "samples_ns", ns) == 0 &&
           json_object_set_new(o, "samples_ts", ts) == 0;
}

json_t *bg_llama_test_object(const bg_llama_test *t)
{
    json_t *o = json_object();
    if (o && add_fields(o, t) && add_samples(o, t)) return o;
    json_decref(o);
    return NULL;
}

static const struct { const char *suffix, *word; } sizes[] = {
    {"K_S", " - Small"}, {"K_M", " - Medium"}, {"K_L", " - Large"}};

/* A word that names a scheme, with the size that follows it: Q4_K and " - Small" is Q4_K_S. */
const bg_scheme *bg_llama_scheme_find(const char *type)
{
    const bg_scheme *found = NULL;
    for (const char *p = type + strspn(type, " "); *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        const bg_scheme *scheme = NULL;
        char name[32];
        for (size_t i = 0; i < BG_COUNT(sizes); i++) {
            if (strncmp(p + n, sizes[i].word, strlen(sizes[i].word)) != 0) continue;
            snprintf(name, sizeof name, "%.*s%s", (int)BG_MIN(n, sizeof name), p,
                     sizes[i].suffix + 1);
            scheme = bg_scheme_find(name);
        }
        snprintf(name, sizeof name, "%.*s", (int)BG_MIN(n, sizeof name), p);
        if (!scheme) scheme = bg_scheme_find(name);
        if (scheme) found = scheme;
        p += n;
    }
    return found;
}

void bg_llama_model_type(char *buffer, size_t size, const char *architecture, double params,
                         const bg_scheme *scheme)
{
    const char *word = "";
    char weights[32];
    double millions = params * 1e-6;
    if (millions < 999.5) snprintf(weights, sizeof weights, "%.0fM", millions);
    else snprintf(weights, sizeof weights, "%.3gB", millions / 1000);
    for (size_t i = 0; scheme && i < BG_COUNT(sizes); i++)
        if (strcmp(bg_scheme_suffix(scheme), sizes[i].suffix) == 0) word = sizes[i].word;
    snprintf(buffer, size, "%s %s %s%s", architecture, weights,
             scheme ? bg_format_get((int)bg_scheme_base(scheme))->name : "mixed", word);
}

void bg_llama_test_name(char *buffer, size_t size, long long n_prompt, long long n_gen,
                        long long n_depth)
{
    char prompt[32] = "", gen[32] = "", depth[32] = "";
    if (n_prompt) snprintf(prompt, sizeof prompt, "pp%lld", n_prompt);
    if (n_gen) snprintf(gen, sizeof gen, "%stg%lld", n_prompt ? "+" : "", n_gen);
    if (n_depth) snprintf(depth, sizeof depth, "@d%lld", n_depth);
    snprintf(buffer, size, "%s%s%s", prompt, gen, depth);
}
