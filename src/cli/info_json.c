#include "cli/info.h"

#include <math.h>
#include <string.h>

enum { ARRAY_SHOWN = 8 }; /* elements of an array that are printed */

static json_t *text(bg_gguf_string s)
{
    return s.data ? bg_cli_json_text(s.data, s.length) : json_null();
}

static json_t *c_text(const char *s) { return bg_cli_json_text(s, strlen(s)); }

static json_t *number_or_null(uint64_t n) { return n ? json_integer((json_int_t)n) : json_null(); }

/* Element i of a value that holds no strings. */
static json_t *element(const bg_gguf_value *v, uint64_t i)
{
    bg_gguf_type type = v->type == BG_GGUF_ARRAY ? v->element_type : v->type;
    int64_t integer;
    double real;
    if (type == BG_GGUF_BOOL)
        return bg_gguf_element_i64(v, i, &integer) ? json_boolean(integer != 0) : json_null();
    if (type != BG_GGUF_F32 && type != BG_GGUF_F64 && bg_gguf_element_i64(v, i, &integer))
        return json_integer(integer);
    return bg_gguf_element_f64(v, i, &real) && isfinite(real) ? json_real(real) : json_null();
}

/* A long array becomes {"type": ..., "count": ..., "first": [...]}. */
static json_t *value(const bg_gguf_value *v)
{
    json_t *list;
    bg_gguf_string s = {0};
    size_t offset = 0;
    uint64_t shown = BG_MIN(v->count, (uint64_t)ARRAY_SHOWN);
    if (v->type == BG_GGUF_STRING)
        return bg_gguf_next_string(v, &offset, &s) ? text(s) : json_null();
    if (v->type != BG_GGUF_ARRAY) return element(v, 0);
    list = json_array();
    for (uint64_t i = 0; i < shown; i++)
        json_array_append_new(list, bg_gguf_next_string(v, &offset, &s) ? text(s) : element(v, i));
    if (shown == v->count) return list;
    return json_pack("{s:s, s:I, s:o}", "type", bg_gguf_type_name(v->element_type), "count",
                     (json_int_t)v->count, "first", list);
}

static json_t *metadata(const bg_gguf *g)
{
    json_t *all = json_object();
    for (size_t i = 0; i < bg_gguf_value_count(g); i++) {
        const bg_gguf_value *v = bg_gguf_value_at(g, i);
        json_t *key = c_text(v->key);
        if (key) json_object_set_new(all, json_string_value(key), value(v));
        json_decref(key);
    }
    return all;
}

static json_t *tensor_list(const bg_gguf *g)
{
    json_t *all = json_array();
    for (size_t i = 0; i < bg_gguf_tensor_count(g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, i);
        json_t *shape = json_array();
        for (uint32_t d = 0; d < t->n_dims; d++)
            json_array_append_new(shape, json_integer((json_int_t)t->ne[d]));
        json_array_append_new(all, json_pack("{s:o, s:s, s:o, s:I}", "name", c_text(t->name),
                              "format", bg_gguf_tensor_type_name(t->type_id), "shape", shape,
                              "bytes", (json_int_t)t->bytes));
    }
    return all;
}

static json_t *format_list(const bg_info *info)
{
    json_t *all = json_array();
    for (size_t i = 0; i < info->n_types; i++)
        json_array_append_new(all, json_pack("{s:s, s:I, s:I}", "format",
                              bg_gguf_tensor_type_name(info->types[i].type_id), "tensors",
                              (json_int_t)info->types[i].tensors, "bytes",
                              (json_int_t)info->types[i].bytes));
    return all;
}

int bg_info_print_json(const bg_info *info, bool tensors)
{
    const bg_gguf *g = info->g;
    json_t *root = json_object();
    const struct { const char *key; json_t *value; } fields[] = {
        {"file", c_text(bg_gguf_path(g))},
        {"file_bytes", json_integer((json_int_t)bg_gguf_file_bytes(g))},
        {"gguf_version", json_integer((json_int_t)bg_gguf_version(g))},
        {"alignment", json_integer((json_int_t)bg_gguf_alignment(g))},
        {"architecture", text(info->architecture)},
        {"name", text(info->name)},
        {"n_params", json_integer((json_int_t)info->n_params)},
        {"n_layer", number_or_null(info->n_layer)},
        {"n_embd", number_or_null(info->n_embd)},
        {"n_ff", number_or_null(info->n_ff)},
        {"n_head", number_or_null(info->n_head)},
        {"n_head_kv", number_or_null(info->n_head_kv)},
        {"n_ctx_train", number_or_null(info->n_ctx_train)},
        {"n_vocab", number_or_null(info->n_vocab)},
        {"tokenizer", text(info->tokenizer)},
        {"weight_bytes", json_integer((json_int_t)info->weight_bytes)},
        {"bpw", info->n_params
                    ? json_real(8.0 * (double)info->weight_bytes / (double)info->n_params)
                    : json_null()},
        {"formats", format_list(info)},
        {"runs", json_boolean(info->runs)},
        {"reason", info->runs ? json_null() : c_text(info->why_not.message)},
        {"metadata", metadata(g)},
        {"n_tensors", json_integer((json_int_t)bg_gguf_tensor_count(g))},
    };
    for (size_t i = 0; i < BG_COUNT(fields); i++)
        json_object_set_new(root, fields[i].key, fields[i].value);
    if (tensors) json_object_set_new(root, "tensors", tensor_list(g));
    return bg_cli_print_json(root);
}
