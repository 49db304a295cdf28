#include "base/base.h"
#include "bitgauge/scheme.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum scheme_id {
#define BG_SCHEME(NAME, base, level, suffix, type, token_embd, output, rules, sentence)           \
    SCHEME_##NAME,
#include "schemes/schemes.def"
    SCHEME_COUNT
} scheme_id;

struct bg_scheme {
    const char *name, *suffix, *sentence;
    bg_format base, token_embd, output;
    scheme_id rules;
    int level;
    uint32_t file_type;
    bool weighted;           /* the variant that wants an importance matrix */
};

#define SCHEME(NAME, variant, base_, level_, suffix_, type, embd, output_, rules_, sentence_, with) \
    [SCHEME_##NAME] = {.name = #NAME variant, .suffix = suffix_, .sentence = sentence_,       \
                       .base = BG_FORMAT_##base_, .token_embd = BG_FORMAT_##embd,             \
                       .output = BG_FORMAT_##output_, .rules = SCHEME_##rules_,               \
                       .level = level_, .file_type = type, .weighted = with},

static const bg_scheme schemes[SCHEME_COUNT] = {
#define BG_SCHEME(NAME, base, level, suffix, type, embd, output, rules, sentence) \
    SCHEME(NAME, "", base, level, suffix, type, embd, output, rules, sentence, false)
#include "schemes/schemes.def"
};

/* The same with an importance matrix. */
static const char variant_suffix[] = "+imatrix";
static const bg_scheme weighted[SCHEME_COUNT] = {
#define BG_SCHEME(NAME, base, level, suffix, type, embd, output, rules, sentence) \
    SCHEME(NAME, "+imatrix", base, level, suffix, type, embd, output, rules, sentence, true)
#include "schemes/schemes.def"
};

typedef enum tensor_role {
    ROLE_OTHER, ROLE_TOKEN_EMBD, ROLE_OUTPUT, ROLE_ATTN_V, ROLE_ATTN_QKV, ROLE_ATTN_OUTPUT,
    ROLE_FFN_DOWN, ROLE_KEPT
} tensor_role;

/* What part of a name gives a tensor its role; the first that is found decides. Kept are matrices
 * that are small and tell a lot: norms, routers, positions, state-space and token-shift weights. */
static const struct { const char *part; tensor_role role; } roles[] = {
    {"token_embd.weight", ROLE_TOKEN_EMBD},
    {"attn_v.weight", ROLE_ATTN_V},
    {"attn_qkv.weight", ROLE_ATTN_QKV},
    {"attn_output.weight", ROLE_ATTN_OUTPUT},
    {"ffn_down", ROLE_FFN_DOWN},
    {"_norm.weight", ROLE_KEPT},
    {"ffn_gate_inp.weight", ROLE_KEPT},
    {"position_embd.weight", ROLE_KEPT},
    {"token_types.weight", ROLE_KEPT},
    {"attn_rel_b.weight", ROLE_KEPT},
    {"ssm_conv1d.weight", ROLE_KEPT},
    {"shortconv.conv.weight", ROLE_KEPT},
    {"time_mix_", ROLE_KEPT},
    {"altup", ROLE_KEPT},
    {"laurel", ROLE_KEPT},
    {"per_layer_model_proj", ROLE_KEPT},
};

typedef enum condition { ALWAYS, LAYER_BELOW, FIRST_PART, MORE, GQA } condition;

static const struct rule {
    scheme_id scheme;
    tensor_role role;
    condition when;
    uint32_t n;
    bg_format format;
} rules[] = {
#define BG_SCHEME_RULE(scheme, tensor, when, n, format) \
    {SCHEME_##scheme, ROLE_##tensor, when, n, BG_FORMAT_##format},
#include "schemes/schemes.def"
};

static const struct { const char *name; scheme_id scheme; } aliases[] = {
#define BG_SCHEME_ALIAS(alias, scheme) {#alias, SCHEME_##scheme},
#include "schemes/schemes.def"
};

static const struct { bg_format from, to; } fallbacks[] = {
#define BG_SCHEME_FALLBACK(from, to) {BG_FORMAT_##from, BG_FORMAT_##to},
#include "schemes/schemes.def"
};

/* Formats of eight bits and more have levels enough everywhere: their encoders do not look at
 * it. */
const bg_scheme *bg_scheme_with_importance(const bg_scheme *s)
{
    if (s->weighted) return s;
    return s->level < 8 ? &weighted[s - schemes] : NULL;
}

bool bg_scheme_wants_importance(const bg_scheme *s) { return s->weighted; }

bg_status bg_scheme_check_importance(const bg_scheme *s, bool given, bg_error *err)
{
    if (given || !s->weighted) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, NULL, "%s needs an importance matrix: give --imatrix FILE "
                   "(`bitgauge imatrix` makes one)", s->name);
}

static const bg_scheme *find_weighted(const char *name)
{
    size_t n = strlen(name), suffix = sizeof variant_suffix - 1;
    const bg_scheme *s;
    char plain[64];
    if (n <= suffix || n - suffix >= sizeof plain) return NULL;
    if (strcasecmp(name + n - suffix, variant_suffix) != 0) return NULL;
    snprintf(plain, sizeof plain, "%.*s", (int)(n - suffix), name);
    s = bg_scheme_find(plain);
    return s && !s->weighted ? bg_scheme_with_importance(s) : NULL;
}

const bg_scheme *bg_scheme_find(const char *name)
{
    if (strchr(name, '+')) return find_weighted(name);
    for (size_t i = 0; i < SCHEME_COUNT; i++)
        if (strcasecmp(schemes[i].name, name) == 0) return &schemes[i];
    for (size_t i = 0; i < BG_COUNT(aliases); i++)
        if (strcasecmp(aliases[i].name, name) == 0) return &schemes[aliases[i].scheme];
    return NULL;
}

const bg_scheme *bg_scheme_at(size_t i) { return i < SCHEME_COUNT ? &schemes[i] : NULL; }
size_t bg_scheme_count(void) { return SCHEME_COUNT; }
const char *bg_scheme_name(const bg_scheme *s) { return s->name; }
const char *bg_scheme_suffix(const bg_scheme *s) { return s->suffix; }
int bg_scheme_level(const bg_scheme *s) { return s->level; }
const char *bg_scheme_policy(const bg_scheme *s) { return s->sentence; }
bg_format bg_scheme_base(const bg_scheme *s) { return s->base; }
uint32_t bg_scheme_file_type(const bg_scheme *s) { return s->file_type; }

/* Equal but for case and the marks between the letters: "q4km" and "Q4_K_M". */
static bool same_letters(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a && !isalnum((unsigned char)*a)) a++;
        while (*b && !isalnum((unsigned char)*b)) b++;
        if (toupper((unsigned char)*a) != toupper((unsigned char)*b)) return false;
        if (!*a) return true;
    }
}

const char *bg_scheme_nearest(const char *name)
{
    const char *names[SCHEME_COUNT];
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        names[i] = schemes[i].name;
        if (same_letters(names[i], name)) return names[i];
    }
    return bg_nearest(name, names, SCHEME_COUNT);
}

bg_status bg_scheme_parse(const char *name, const bg_scheme **out, bg_error *err)
{
    const char *near;
    *out = bg_scheme_find(name);
    if (*out) return BG_OK;
    near = bg_scheme_nearest(name);
    return bg_fail(err, BG_ERR_INPUT, NULL, "unknown scheme '%.60s'%s%s%s; `bitgauge schemes` "
                   "lists them", name, near ? ": did you mean " : "", near ? near : "",
                   near ? "?" : "");
}

static bg_status list_add(const bg_scheme *s, const bg_scheme **out, size_t max, size_t *n,
                          bg_error *err)
{
    for (size_t i = 0; i < *n; i++)
        if (out[i] == s) return BG_OK;
    if (*n == max)
        return bg_fail(err, BG_ERR_INPUT, NULL, "the list names more than %zu schemes", max);
    out[(*n)++] = s;
    return BG_OK;
}

bg_status bg_scheme_parse_list(const char *list, const bg_scheme **out, size_t max, size_t *n,
                               bg_error *err)
{
    static const char levels[] = "Q2_K,Q3_K_S,Q3_K_M,Q3_K_L,Q4_K_S,Q4_K_M,Q5_K_S,Q5_K_M,Q6_K,"
                                 "Q8_0,F16";
    const char *p = list;
    *n = 0;
    while (*p) {
        const bg_scheme *s;
        char word[64];
        size_t length = strcspn(p, ", ");
        snprintf(word, sizeof word, "%.*s", (int)BG_MIN(length, sizeof word), p);
        p += length;
        while (*p == ',' || *p == ' ') p++;
        if (!length) continue;
        if (strcasecmp(word, "all") == 0) {
            for (size_t i = 0; i < SCHEME_COUNT; i++)
                BG_TRY(list_add(&schemes[i], out, max, n, err));
        } else if (strcasecmp(word, "levels") == 0) {
            size_t some = 0;
            const bg_scheme *standard[SCHEME_COUNT];
            BG_TRY(bg_scheme_parse_list(levels, standard, SCHEME_COUNT, &some, err));
            for (size_t i = 0; i < some; i++) BG_TRY(list_add(standard[i], out, max, n, err));
        } else {
            BG_TRY(bg_scheme_parse(word, &s, err));
            BG_TRY(list_add(s, out, max, n, err));
        }
    }
    if (*n == 0)
        return bg_fail(err, BG_ERR_INPUT, NULL, "the list of schemes is empty: name some, for "
                       "instance Q4_K_M,Q6_K, or say levels or all");
    return BG_OK;
}

/* ---- tensors ---------------------------------------------------------------------------- */

static tensor_role role_of(const char *name, bool tied)
{
    static const char weight[] = ".weight";
    size_t n = strlen(name);
    if (n < sizeof weight || strcmp(name + n - (sizeof weight - 1), weight) != 0) return ROLE_KEPT;
    if (strcmp(name, "output.weight") == 0) return ROLE_OUTPUT;
    if (strcmp(name, "token_embd.weight") == 0) return tied ? ROLE_OUTPUT : ROLE_TOKEN_EMBD;
    for (size_t i = 0; i < BG_COUNT(roles); i++)
        if (strstr(name, roles[i].part)) return roles[i].role;
    return ROLE_OTHER;
}

static bool applies(const struct rule *r, const bg_scheme_model *m, uint32_t layer)
{
    uint32_t layers = m->n_layer, eighth = layers / 8;
    switch (r->when) {
    case ALWAYS: return true;
    case LAYER_BELOW: return layer < r->n;
    case FIRST_PART: return layer < layers / r->n;
    case GQA: return m->n_head_kv && m->n_head / m->n_head_kv >= r->n;
    case MORE:
        return layer < eighth || layer >= 7ull * layers / 8 || (layer - eighth) % 3 == 2;
    }
    return false;
}

/* The layer in "blk.12.attn_v.weight"; 0 where there is none. */
static uint32_t layer_of(const char *name)
{
    return strncmp(name, "blk.", 4) == 0 ? (uint32_t)strtoul(name + 4, NULL, 10) : 0;
}

static bool fits(bg_format f, uint64_t row) { return row % bg_format_get(f)->block_weights == 0; }

bg_format bg_scheme_tensor_format(const bg_scheme *s, const bg_scheme_model *m, const char *name,
                                  uint32_t n_dims, const uint64_t ne[4], bool *fell_back)
{
    tensor_role role = role_of(name, m->tied_embeddings);
    uint32_t layer = layer_of(name);
    bg_format f = s->base;
    if (fell_back) *fell_back = false;
    if (n_dims < 2) return BG_FORMAT_F32;
    if (role == ROLE_KEPT) return BG_FORMAT_NONE;
    if (role == ROLE_TOKEN_EMBD) f = s->token_embd;
    if (role == ROLE_OUTPUT) f = s->output;
    for (size_t i = 0; i < BG_COUNT(rules); i++) {
        if (rules[i].scheme != s->rules || rules[i].role != role) continue;
        if (!applies(&rules[i], m, layer)) continue;
        f = rules[i].format;
        break;
    }
    if (fits(f, ne[0])) return f;
    if (fell_back) *fell_back = true;
    for (size_t i = 0; i < BG_COUNT(fallbacks); i++)
        if (fallbacks[i].from == f && fits(fallbacks[i].to, ne[0])) return fallbacks[i].to;
    return BG_FORMAT_F16;
}
