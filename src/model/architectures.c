/* What tells one architecture from another, and the tensors that each has. */
#include "model/model.h"

#include <string.h>

/* Sources: the models' published configurations, and what llama.cpp v0.5.0 computes for them. */
static const bg_architecture architectures[] = {
    {.name = "llama", .parts = BG_PARTS_BIASES | BG_PARTS_ROPE_FREQS | BG_PARTS_ROPE_LENGTHS},
    /* Of the same layers, each of sizes of its own: what a pruned llama is called. */
    {.name = "deci", .parts = BG_PARTS_BIASES | BG_PARTS_ROPE_FREQS | BG_PARTS_ROPE_LENGTHS},
    {.name = "qwen2", .parts = BG_PARTS_QKV_BIASES, .usual = BG_PARTS_QKV_BIASES, .neox = true},
    {.name = "qwen3", .parts = BG_PARTS_QKV_BIASES | BG_PARTS_HEAD_NORMS, .neox = true},
    {.name = "gemma2", .parts = BG_PARTS_QKV_BIASES | BG_PARTS_POST_NORMS, .neox = true,
     .gelu = true, .scales_embedding = true, .window = 4096, .window_period = 2,
     .score_cap = 50, .logit_cap = 30, .wide_query_layers = 46},
    {.name = "gemma3",
     .parts = BG_PARTS_QKV_BIASES | BG_PARTS_HEAD_NORMS | BG_PARTS_POST_NORMS, .neox = true,
     .gelu = true, .scales_embedding = true, .window_period = 6, .local_rope_base = 10000,
     .caps_logits = true, .wide_query_layers = 62},
    {.name = "phi3", .parts = BG_PARTS_FUSED | BG_PARTS_ROPE_LENGTHS, .neox = true},
};

#define WHOLE(member) offsetof(struct bg_model, member)
#define MATRIX(id) offsetof(bg_layer, w[BG_W_##id])
#define VECTOR(id) offsetof(bg_layer, v[BG_V_##id])
#define BIAS(id) offsetof(bg_layer, bias[BG_W_##id])
const bg_part bg_parts[] = {
    {"token_embd.weight", 0, false, false, BG_DIM_EMBD, BG_DIM_VOCAB, WHOLE(token_embd)},
    {"output_norm.weight", 0, false, false, BG_DIM_EMBD, BG_DIM_NONE, WHOLE(output_norm)},
    {"output.weight", 0, false, true, BG_DIM_EMBD, BG_DIM_VOCAB, WHOLE(output)},
    {"rope_freqs.weight", BG_PARTS_ROPE_FREQS, false, true, BG_DIM_PAIRS, BG_DIM_NONE,
     WHOLE(rope_factors[BG_ROPE_ALWAYS])},
    {"rope_factors_long.weight", BG_PARTS_ROPE_LENGTHS, false, true, BG_DIM_PAIRS, BG_DIM_NONE,
     WHOLE(rope_factors[BG_ROPE_LONG])},
    {"rope_factors_short.weight", BG_PARTS_ROPE_LENGTHS, false, true, BG_DIM_PAIRS, BG_DIM_NONE,
     WHOLE(rope_factors[BG_ROPE_SHORT])},
    {"attn_norm.weight", 0, true, false, BG_DIM_EMBD, BG_DIM_NONE, VECTOR(ATTN_NORM)},
    {"attn_q.weight", 0, true, false, BG_DIM_EMBD, BG_DIM_Q, MATRIX(Q)},
    {"attn_k.weight", 0, true, false, BG_DIM_EMBD, BG_DIM_KV, MATRIX(K)},
    {"attn_v.weight", 0, true, false, BG_DIM_EMBD, BG_DIM_KV, MATRIX(V)},
    {"attn_q.bias", BG_PARTS_QKV_BIASES, true, true, BG_DIM_Q, BG_DIM_NONE, BIAS(Q)},
    {"attn_k.bias", BG_PARTS_QKV_BIASES, true, true, BG_DIM_KV, BG_DIM_NONE, BIAS(K)},
    {"attn_v.bias", BG_PARTS_QKV_BIASES, true, true, BG_DIM_KV, BG_DIM_NONE, BIAS(V)},
    {"attn_q_norm.weight", BG_PARTS_HEAD_NORMS, true, false, BG_DIM_HEAD, BG_DIM_NONE,
     VECTOR(Q_NORM)},
    {"attn_k_norm.weight", BG_PARTS_HEAD_NORMS, true, false, BG_DIM_HEAD, BG_DIM_NONE,
     VECTOR(K_NORM)},
    {"attn_output.weight", 0, true, false, BG_DIM_Q, BG_DIM_EMBD, MATRIX(OUT)},
    {"attn_output.bias", BG_PARTS_OTHER_BIASES, true, true, BG_DIM_EMBD, BG_DIM_NONE, BIAS(OUT)},
    {"post_attention_norm.weight", BG_PARTS_POST_NORMS, true, false, BG_DIM_EMBD, BG_DIM_NONE,
     VECTOR(ATTN_POST_NORM)},
    {"ffn_norm.weight", 0, true, false, BG_DIM_EMBD, BG_DIM_NONE, VECTOR(FFN_NORM)},
    {"ffn_gate.weight", 0, true, false, BG_DIM_EMBD, BG_DIM_FF, MATRIX(GATE)},
    {"ffn_up.weight", 0, true, false, BG_DIM_EMBD, BG_DIM_FF, MATRIX(UP)},
    {"ffn_down.weight", 0, true, false, BG_DIM_FF, BG_DIM_EMBD, MATRIX(DOWN)},
    {"ffn_gate.bias", BG_PARTS_OTHER_BIASES, true, true, BG_DIM_FF, BG_DIM_NONE, BIAS(GATE)},
    {"ffn_up.bias", BG_PARTS_OTHER_BIASES, true, true, BG_DIM_FF, BG_DIM_NONE, BIAS(UP)},
    {"ffn_down.bias", BG_PARTS_OTHER_BIASES, true, true, BG_DIM_EMBD, BG_DIM_NONE, BIAS(DOWN)},
    {"post_ffw_norm.weight", BG_PARTS_POST_NORMS, true, false, BG_DIM_EMBD, BG_DIM_NONE,
     VECTOR(FFN_POST_NORM)},
};
const size_t bg_parts_count = BG_COUNT(bg_parts);

/* Matrices that lie one after another in one of a file with BG_PARTS_FUSED. */
static const bg_fusion fusions[] = {
    {"attn_qkv.weight", {"attn_q.weight", "attn_k.weight", "attn_v.weight"}},
    {"ffn_up.weight", {"ffn_gate.weight", "ffn_up.weight", NULL}},
};

const bg_architecture *bg_architecture_find(const char *name)
{
    for (size_t i = 0; i < BG_COUNT(architectures); i++)
        if (strcmp(architectures[i].name, name) == 0) return &architectures[i];
    return NULL;
}

const char *bg_architecture_list(char *buffer, size_t size)
{
    size_t used = 0;
    buffer[0] = 0;
    for (size_t i = 0; i < BG_COUNT(architectures) && used < size; i++)
        used += (size_t)snprintf(buffer + used, size - used, "%s%s",
                                 i == 0                             ? ""
                                 : i + 1 < BG_COUNT(architectures) ? ", "
                                                                    : " and ",
                                 architectures[i].name);
    return buffer;
}

bool bg_architecture_has(const bg_architecture *a, const bg_part *p)
{
    return !p->of || (p->of & a->parts);
}

uint64_t bg_dim_size(const bg_hparams *h, const bg_layer_sizes *l, bg_dim d)
{
    const uint64_t sizes[] = {
        [BG_DIM_NONE] = 1, [BG_DIM_EMBD] = h->n_embd, [BG_DIM_FF] = l->n_ff,
        [BG_DIM_Q] = (uint64_t)l->n_head * h->head_dim,
        [BG_DIM_KV] = (uint64_t)l->n_head_kv * h->head_dim, [BG_DIM_HEAD] = h->head_dim,
        [BG_DIM_VOCAB] = h->n_vocab, [BG_DIM_PAIRS] = h->rope_dim / 2,
    };
    return sizes[d];
}

const bg_part *bg_part_find(const char *name)
{
    for (size_t i = 0; i < bg_parts_count; i++)
        if (strcmp(bg_parts[i].name, name) == 0) return &bg_parts[i];
    return NULL;
}

/* "blk.12.attn_q.weight" -> "attn_q.weight"; NULL for one that is of no layer. */
static const char *in_layer(const char *tensor)
{
    const char *dot = strncmp(tensor, "blk.", 4) == 0 ? strchr(tensor + 4, '.') : NULL;
    return dot ? dot + 1 : NULL;
}

const bg_fusion *bg_fusion_of_whole(const bg_architecture *a, const char *tensor)
{
    const char *name = in_layer(tensor);
    if (!name || !(a->parts & BG_PARTS_FUSED)) return NULL;
    for (size_t i = 0; i < BG_COUNT(fusions); i++)
        if (strcmp(fusions[i].whole, name) == 0) return &fusions[i];
    return NULL;
}

const bg_fusion *bg_fusion_of_piece(const bg_architecture *a, const char *part)
{
    if (!(a->parts & BG_PARTS_FUSED)) return NULL;
    for (size_t i = 0; i < BG_COUNT(fusions); i++)
        for (size_t j = 0; j < BG_FUSION_MOST && fusions[i].pieces[j]; j++)
            if (strcmp(fusions[i].pieces[j], part) == 0) return &fusions[i];
    return NULL;
}

const char *bg_fusion_name(const bg_architecture *a, const char *tensor, char *buffer, size_t n)
{
    const char *name = in_layer(tensor);
    const bg_fusion *f = name ? bg_fusion_of_piece(a, name) : NULL;
    if (!f) return tensor;
    snprintf(buffer, n, "%.*s%s", (int)(name - tensor), tensor, f->whole);
    return buffer;
}
