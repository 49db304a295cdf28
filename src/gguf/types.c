#include "gguf/internal.h"

static const bg_gguf_tensor_type types[] = {
#define BG_FORMAT(NAME, prefix, id, weights, bytes, activation, level) \
    {#NAME, BG_FORMAT_##NAME, id, weights, bytes},
#include "bitgauge/formats.def"
    /* Types that other programs write; bitgauge knows their extent only. */
    {"Q8_1", BG_FORMAT_NONE, 9, 32, 36},
    {"IQ2_XXS", BG_FORMAT_NONE, 16, 256, 66},
    {"IQ2_XS", BG_FORMAT_NONE, 17, 256, 74},
    {"IQ3_XXS", BG_FORMAT_NONE, 18, 256, 98},
    {"IQ1_S", BG_FORMAT_NONE, 19, 256, 50},
    {"IQ3_S", BG_FORMAT_NONE, 21, 256, 110},
    {"IQ2_S", BG_FORMAT_NONE, 22, 256, 82},
    {"I8", BG_FORMAT_NONE, 24, 1, 1},
    {"I16", BG_FORMAT_NONE, 25, 1, 2},
    {"I32", BG_FORMAT_NONE, 26, 1, 4},
    {"I64", BG_FORMAT_NONE, 27, 1, 8},
    {"F64", BG_FORMAT_NONE, 28, 1, 8},
    {"IQ1_M", BG_FORMAT_NONE, 29, 256, 56},
    {"MXFP4", BG_FORMAT_NONE, 39, 32, 17},
    {"NVFP4", BG_FORMAT_NONE, 40, 64, 36},
    {"Q1_0", BG_FORMAT_NONE, 41, 128, 18},
    /* Types that files once had. */
    {"Q4_2", BG_FORMAT_NONE, 4, 0, 0},
    {"Q4_3", BG_FORMAT_NONE, 5, 0, 0},
    {"Q4_0_4_4", BG_FORMAT_NONE, 31, 0, 0},
    {"Q4_0_4_8", BG_FORMAT_NONE, 32, 0, 0},
    {"Q4_0_8_8", BG_FORMAT_NONE, 33, 0, 0},
    {"IQ4_NL_4_4", BG_FORMAT_NONE, 36, 0, 0},
    {"IQ4_NL_4_8", BG_FORMAT_NONE, 37, 0, 0},
    {"IQ4_NL_8_8", BG_FORMAT_NONE, 38, 0, 0},
};

const bg_gguf_tensor_type *bg_gguf_tensor_type_get(uint32_t id)
{
    for (size_t i = 0; i < BG_COUNT(types); i++)
        if (types[i].id == id) return &types[i];
    return NULL;
}

const char *bg_gguf_tensor_type_name(uint32_t type_id)
{
    const bg_gguf_tensor_type *t = bg_gguf_tensor_type_get(type_id);
    return t ? t->name : "unknown";
}

bool bg_gguf_tensor_bytes(const bg_gguf_tensor_type *type, const bg_tensor *t, size_t *bytes,
                          const char **reason)
{
    uint64_t n = t->ne[0] / type->block_weights, weights = t->ne[0];
    *reason = "its row length is not a multiple of its type's block";
    if (t->ne[0] % type->block_weights) return false;
    *reason = "its dimensions multiply to more than any file holds";
    if (__builtin_mul_overflow(n, (uint64_t)type->block_bytes, &n)) return false;
    for (int d = 1; d < 4; d++)
        if (__builtin_mul_overflow(n, t->ne[d], &n) ||
            __builtin_mul_overflow(weights, t->ne[d], &weights))
            return false;
    if (n > INT64_MAX || weights > INT64_MAX) return false;
    *bytes = n;
    return true;
}

static const struct { const char *name; size_t bytes; } value_types[BG_GGUF_TYPE_COUNT] = {
    [BG_GGUF_U8] = {"u8", 1},       [BG_GGUF_I8] = {"i8", 1},     [BG_GGUF_U16] = {"u16", 2},
    [BG_GGUF_I16] = {"i16", 2},     [BG_GGUF_U32] = {"u32", 4},   [BG_GGUF_I32] = {"i32", 4},
    [BG_GGUF_F32] = {"f32", 4},     [BG_GGUF_BOOL] = {"bool", 1}, [BG_GGUF_STRING] = {"string", 0},
    [BG_GGUF_ARRAY] = {"array", 0}, [BG_GGUF_U64] = {"u64", 8},   [BG_GGUF_I64] = {"i64", 8},
    [BG_GGUF_F64] = {"f64", 8},
};

const char *bg_gguf_type_name(bg_gguf_type t)
{
    return (unsigned)t < BG_GGUF_TYPE_COUNT ? value_types[t].name : "unknown";
}

size_t bg_gguf_type_bytes(uint32_t type)
{
    return type < BG_GGUF_TYPE_COUNT ? value_types[type].bytes : 0;
}

void *bg_gguf_reserve(void *items, size_t n, size_t *capacity, size_t size)
{
    size_t bigger = *capacity ? *capacity * 2 : 64;
    void *p;
    if (n < *capacity) return items;
    p = bg_grow(items, bigger, size);
    if (p) *capacity = bigger;
    return p;
}
