/* model.h: what the files of this room share. Internal. */
#ifndef BG_MODEL_INTERNAL_H
#define BG_MODEL_INTERNAL_H

#include "base/base.h"
#include "bitgauge/model.h"
#include "bitgauge/shape.h"

/* The matrices of one layer. */
typedef enum bg_matrix_id {
    BG_W_Q, BG_W_K, BG_W_V, BG_W_OUT, BG_W_GATE, BG_W_UP, BG_W_DOWN, BG_W_COUNT
} bg_matrix_id;

/* Its vectors, beside a bias for each matrix. */
typedef enum bg_vector_id {
    BG_V_ATTN_NORM, BG_V_FFN_NORM, BG_V_ATTN_POST_NORM, BG_V_FFN_POST_NORM, BG_V_Q_NORM,
    BG_V_K_NORM, BG_V_COUNT
} bg_vector_id;

/* What may differ from layer to layer. */
typedef struct bg_layer_sizes {
    uint32_t n_ff, n_head, n_head_kv;
    uint32_t window;              /* positions that a token sees, its own among them; 0: all */
} bg_layer_sizes;

typedef struct bg_layer {
    bg_layer_sizes n;
    const bg_tensor *w[BG_W_COUNT], *v[BG_V_COUNT], *bias[BG_W_COUNT]; /* NULL: there is none */
    float *v_f32[BG_V_COUNT], *bias_f32[BG_W_COUNT]; /* decoded */
} bg_layer;

/* Divisors of the angles of rotation: of every context, or of long and of short ones. */
typedef enum bg_rope_factors {
    BG_ROPE_ALWAYS, BG_ROPE_LONG, BG_ROPE_SHORT, BG_ROPE_FACTORS
} bg_rope_factors;

/* ---- architectures ----------------------------------------------------------------------- */

/* Tensors that not all architectures have. */
enum {
    BG_PARTS_QKV_BIASES = 1, BG_PARTS_OTHER_BIASES = 2,
    BG_PARTS_BIASES = BG_PARTS_QKV_BIASES | BG_PARTS_OTHER_BIASES,
    BG_PARTS_HEAD_NORMS = 4,      /* of every head of queries and keys, before it is rotated */
    BG_PARTS_POST_NORMS = 8,      /* of what attention and feed-forward give, before it is added */
    BG_PARTS_ROPE_FREQS = 16, BG_PARTS_ROPE_LENGTHS = 32,
    BG_PARTS_FUSED = 64,          /* matrices of the file that are several: see bg_fusion */
};

/* One row of the table of architectures. What a file's keys may override is a default here. */
typedef struct bg_architecture {
    const char *name;             /* general.architecture */
    unsigned parts;               /* BG_PARTS_... */
    unsigned usual;               /* of these, the optional ones that shapes have */
    bool neox;                    /* rotates dimensions i and i + rope_dim / 2, not 2i and 2i + 1 */
    bool gelu;                    /* for SiLU */
    bool scales_embedding;        /* by sqrt(n_embd) */
    uint32_t window_period;       /* all but every such layer see a window only; 0: none does */
    uint32_t window;              /* 0: as the key says, none without */
    float local_rope_base;        /* of layers with a window, never stretched; 0: as the others */
    float score_cap;              /* of attention, cap * tanh(score / cap); 0: none */
    float logit_cap;
    bool caps_logits;             /* where a key says so */
    uint32_t wide_query_layers;   /* the variant of so many layers scales scores by
                                     1 / sqrt(n_embd / n_head), others by 1 / sqrt(head_dim) */
} bg_architecture;

const bg_architecture *bg_architecture_find(const char *name);  /* NULL: none of ours */
const char *bg_architecture_list(char *buffer, size_t size);    /* "llama, qwen2 and phi3" */

typedef enum bg_dim {
    BG_DIM_NONE, BG_DIM_EMBD, BG_DIM_FF, BG_DIM_Q, BG_DIM_KV, BG_DIM_HEAD, BG_DIM_VOCAB,
    BG_DIM_PAIRS
} bg_dim;
uint64_t bg_dim_size(const bg_hparams *h, const bg_layer_sizes *l, bg_dim d);

/* A tensor of models. k is the row length; rows BG_DIM_NONE marks a vector. */
typedef struct bg_part {
    const char *name;             /* of a layer's, what comes after "blk.N." */
    unsigned of;                  /* architectures with any of these parts have it; 0: all */
    bool per_layer, optional;
    bg_dim k, rows;
    size_t offset;                /* of a `const bg_tensor *` in bg_model or in bg_layer */
} bg_part;
extern const bg_part bg_parts[];
extern const size_t bg_parts_count;
bool bg_architecture_has(const bg_architecture *a, const bg_part *p);
const bg_part *bg_part_find(const char *name);

/* A matrix of the file whose rows are those of several matrices here, one after another. */
enum { BG_FUSION_MOST = 3 };
typedef struct bg_fusion { const char *whole, *pieces[BG_FUSION_MOST]; } bg_fusion;
/* NULL: the tensor of a file is one here too. */
const bg_fusion *bg_fusion_of_whole(const bg_architecture *a, const char *tensor);
/* The one that a part lies in; NULL: none. */
const bg_fusion *bg_fusion_of_piece(const bg_architecture *a, const char *part);
/* The tensor of the file that holds one of a model: "blk.3.attn_q.weight" ->
 * "blk.3.attn_qkv.weight". Schemes and importance go by those. */
const char *bg_fusion_name(const bg_architecture *a, const char *tensor, char *buffer, size_t n);

/* ---- models ------------------------------------------------------------------------------ */

typedef struct bg_packs bg_packs; /* the packed matrices of a model, made when first needed */

struct bg_model {
    bg_hparams h;
    bg_gguf *gguf;
    bg_tokenizer *tokenizer;      /* NULL when the file has none */
    const bg_model *source;       /* whose file, tokenizer and borrowed tensors these are */
    const bg_architecture *arch;
    bg_tensor *tensors;           /* in the order of the file, fused ones as their pieces */
    char **names;                 /* of pieces, owned; by tensor, or NULL */
    void **recoded;               /* per tensor: data owned by this model, or NULL; it has room
                                     for bg_packed_bytes */
    bg_packs *packs;
    const bg_shape *shape;        /* its weights are random, or not there at all; else NULL */
    bg_shape_sample sample;       /* of a shape's own model: how much to hold */
    uint32_t n_held;              /* layers in memory, and which */
    uint32_t *held;
    double *stands_for;           /* of these: for how many that are not */
    size_t n_tensors, weight_bytes;
    const bg_tensor *token_embd, *output, *output_norm, *rope_factors[BG_ROPE_FACTORS];
    bg_layer *layers;
    float *output_norm_f32, *rope_factors_f32[BG_ROPE_FACTORS];
};

/* Reads and checks the hyper-parameters of a file, all but n_vocab, n_params and
 * tied_embeddings. */
bg_status bg_hparams_read(bg_hparams *h, const bg_architecture **arch, const bg_gguf *g,
                          bg_error *err);
/* Those of one layer; h is what was read. */
bg_status bg_layer_sizes_read(bg_layer_sizes *n, const bg_hparams *h, const bg_architecture *arch,
                              const bg_gguf *g, uint32_t layer, bg_error *err);

/* m->tensors of an open file, whose hyper-parameters are known. */
bg_status bg_model_list_tensors(bg_model *m, bg_error *err);

/* Positions of one layer's cache that a session holds for a sequence; *ring says that they come
 * round: position p lies at p % the result. */
size_t bg_layer_positions(const bg_layer *l, uint32_t n_ctx, uint32_t n_batch, bool *ring);
/* Bytes of one layer's keys and values that take so many positions. */
size_t bg_layer_kv_bytes(const bg_hparams *h, const bg_layer *l, size_t positions);

/* How layers turn pairs of dimensions: radians a position of each of rope_dim / 2 pairs, and what
 * cosines and sines are multiplied by. `local`: those of layers with a window. */
bg_status bg_rope_prepare(double **speeds, double *magnitude, const bg_model *m, bool local,
                          uint32_t n_ctx, bg_error *err);

/* bg_model_open on a file that is open already; the model closes it, also on failure. */
bg_status bg_model_open_gguf(bg_model **m, bg_gguf *g, bg_error *err);
/* Finds, checks and prepares the parts of m->tensors (set, as is m->h). */
bg_status bg_model_link(bg_model *m, bg_error *err);

/* A shape's model in the formats of a scheme: which layers it holds, then what they hold. */
bg_status bg_sample_choose(bg_model *m, const bg_shape_sample *sample, bg_error *err);
uint64_t bg_sample_bytes(const bg_model *m);
bg_status bg_sample_fill(bg_model *m, struct bg_team *team,
                         void (*progress)(void *user, double fraction), void *user, bg_error *err);

/* What every file that is made of another begins with: the source's keys but for those that speak
 * of itself alone. */
bg_status bg_quantize_keys(bg_gguf_writer *w, const bg_gguf *g, uint32_t file_type,
                           const bg_importance *importance, bg_error *err);
/* Adds a tensor to a plan, and its bytes to those of its format; then lists the formats. */
enum { BG_FORMAT_IDS = 64 }; /* all are below */
void bg_quantize_count(bg_quantize_plan *plan, uint64_t bytes[BG_FORMAT_IDS], const bg_tensor *from,
                       const bg_tensor *to);
void bg_quantize_list(bg_quantize_plan *plan, uint64_t bytes[BG_FORMAT_IDS]);

bg_packs *bg_packs_new(size_t n_tensors);                       /* NULL: no memory */
void bg_packs_free(bg_packs **p);
/* Says that recoded[i] is packed already. */
void bg_packs_adopt(const bg_model *m, size_t i);
/* Packs the output alone. */
bg_status bg_model_pack_output(const bg_model *m, struct bg_team *team, bg_error *err);
/* The packed panels of a matrix; NULL before bg_model_pack. */
const void *bg_model_packed(const bg_model *m, const bg_tensor *t);
/* Bytes of a tensor's memory in `recoded`. */
static inline size_t bg_recoded_bytes(const bg_tensor *t)
{
    const bg_format_info *f = bg_format_get(t->format);
    return BG_MAX(t->bytes, bg_packed_bytes(f, t->ne[1], t->ne[0]));
}


#endif
