/* bitgauge/scheme.h: schemes map each tensor of a model to a block format.
 *
 * Schemes are data (schemes.def). The policies are those of llama.cpp v0.5.0 for dense
 * Llama-family models; K_L schemes that llama.cpp lacks keep token_embd and output at Q8_0.
 */
#ifndef BITGAUGE_SCHEME_H
#define BITGAUGE_SCHEME_H

#include "bitgauge/format.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bg_scheme bg_scheme;

/* What the policies need to know of a model. */
typedef struct bg_scheme_model {
    uint32_t n_layer, n_head, n_head_kv;
    bool tied_embeddings;   /* no output.weight: token_embd serves as output */
} bg_scheme_model;

/* Case does not matter; Q2_K_M, Q3_K, Q4_K and Q5_K are understood too. NULL if unknown. */
const bg_scheme *bg_scheme_find(const char *name);
/* The scheme as it is with an importance matrix, a row of its own in results: "Q4_K_M+imatrix". Its
 * formats are the same. find and parse know it, lists of all schemes leave it out. NULL: an
 * importance matrix changes nothing about it. */
const bg_scheme *bg_scheme_with_importance(const bg_scheme *s);
bool bg_scheme_wants_importance(const bg_scheme *s);           /* is such a one */
/* BG_ERR_INPUT when it is and there is none. */
bg_status bg_scheme_check_importance(const bg_scheme *s, bool given, bg_error *err);
/* The same with an error that names the nearest one. */
bg_status bg_scheme_parse(const char *name, const bg_scheme **out, bg_error *err);
const bg_scheme *bg_scheme_at(size_t i);             /* by level, then size; NULL past it */
size_t bg_scheme_count(void);
const char *bg_scheme_name(const bg_scheme *s);      /* "Q4_K_M" */
const char *bg_scheme_suffix(const bg_scheme *s);    /* "K_M", "K_S", "K_L" or "" */
int bg_scheme_level(const bg_scheme *s);             /* nominal bits: 1 to 6, 8, 16 */
const char *bg_scheme_policy(const bg_scheme *s);    /* one sentence for people */
bg_format bg_scheme_base(const bg_scheme *s);
uint32_t bg_scheme_file_type(const bg_scheme *s);    /* GGUF general.file_type */
const char *bg_scheme_nearest(const char *name);     /* for "did you mean"; NULL */

/* A list "Q4_K_M,Q6_K", "all" or "levels" (the standard one or ones of each level: Q2_K,
 * Q3_K_S/M/L, Q4_K_S/M, Q5_K_S/M, Q6_K, Q8_0, F16). Writes up to max; *n is the number. */
bg_status bg_scheme_parse_list(const char *list, const bg_scheme **out, size_t max, size_t *n,
                               bg_error *err);

/* The format of one tensor: GGUF name, dimensions. One-dimensional tensors stay F32; rows that
 * the format cannot hold fall back as llama.cpp does. *fell_back (may be NULL) says so.
 * BG_FORMAT_NONE: the tensor keeps the format that it has (a name that does not end in .weight, a
 * router, a position embedding and the like; a dense Llama model has none of these). */
bg_format bg_scheme_tensor_format(const bg_scheme *s, const bg_scheme_model *m, const char *name,
                                  uint32_t n_dims, const uint64_t ne[4], bool *fell_back);

#ifdef __cplusplus
}
#endif
#endif
