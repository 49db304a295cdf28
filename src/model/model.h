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

typedef struct bg_layer {
    const bg_tensor *w[BG_W_COUNT];
    const bg_tensor *attn_norm, *ffn_norm;
    float *attn_norm_f32, *ffn_norm_f32;
} bg_layer;

typedef struct bg_packs bg_packs; /* the packed matrices of a model, made when first needed */

struct bg_model {
    bg_hparams h;
    bg_gguf *gguf;
    bg_tokenizer *tokenizer;      /* NULL when the file has none */
    const bg_model *source;       /* whose file, tokenizer and borrowed tensors these are */
    bg_tensor *tensors;           /* in the order of the file */
    void **recoded;               /* per tensor: data owned by this model, or NULL; it has room
                                     for bg_packed_bytes */
    bg_packs *packs;
    const bg_shape *shape;        /* its weights are random, or not there at all; else NULL */
    bg_shape_sample sample;       /* of a shape's own model: how much to hold */
    uint32_t n_held;              /* layers in memory, and which */
    uint32_t *held;
    double *stands_for;           /* of these: for how many that are not */
    size_t n_tensors, weight_bytes;
    const bg_tensor *token_embd, *output, *output_norm, *rope_freqs;
    bg_layer *layers;
    float *output_norm_f32;
    double *rope_speed;           /* radians a position, of each of rope_dim / 2 pairs */
};

/* Reads and checks the hyper-parameters of a file, all but n_vocab, n_params and
 * tied_embeddings. */
bg_status bg_hparams_read(bg_hparams *h, const bg_gguf *g, bg_error *err);

/* bg_model_open on a file that is open already; the model closes it, also on failure. */
bg_status bg_model_open_gguf(bg_model **m, bg_gguf *g, bg_error *err);
/* Finds, checks and prepares the parts of m->tensors (set, as is m->h). */
bg_status bg_model_link(bg_model *m, bg_error *err);

/* A shape's model in the formats of a scheme: which layers it holds, then what they hold. */
bg_status bg_sample_choose(bg_model *m, const bg_shape_sample *sample, bg_error *err);
uint64_t bg_sample_bytes(const bg_model *m);
bg_status bg_sample_fill(bg_model *m, struct bg_team *team,
                         void (*progress)(void *user, double fraction), void *user, bg_error *err);

/* What every file that is made of another begins with: the source's keys but for those that speak of
 * itself alone. */
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
/* The packed panels of a matrix; NULL before bg_model_pack. */
const void *bg_model_packed(const bg_model *m, const bg_tensor *t);
/* Bytes of a tensor's memory in `recoded`. */
static inline size_t bg_recoded_bytes(const bg_tensor *t)
{
    const bg_format_info *f = bg_format_get(t->format);
    return BG_MAX(t->bytes, bg_packed_bytes(f, t->ne[1], t->ne[0]));
}


#endif
