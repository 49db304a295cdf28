/* bitgauge/model.h: loading a model, its tokenizer, and running it.
 *
 * A bg_model is immutable once made and may be shared by any number of sessions. A session owns
 * the KV cache and the scratch memory, and is used by one caller at a time.
 */
#ifndef BITGAUGE_MODEL_H
#define BITGAUGE_MODEL_H

#include "bitgauge/gguf.h"
#include "bitgauge/kernel.h"
#include "bitgauge/scheme.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bg_team;
typedef struct bg_model bg_model;
typedef struct bg_tokenizer bg_tokenizer;
typedef struct bg_session bg_session;

/* How rotations were stretched to longer contexts. */
typedef enum bg_rope_scaling {
    BG_ROPE_NONE, BG_ROPE_LINEAR, BG_ROPE_YARN, BG_ROPE_LONGROPE
} bg_rope_scaling;

typedef struct bg_hparams {
    char architecture[32];     /* "llama" */
    char name[64];             /* general.name, or the file's name */
    /* Of n_ff, n_head and n_head_kv the largest, where layers differ. */
    uint32_t n_layer, n_embd, n_ff, n_head, n_head_kv, head_dim, rope_dim, n_vocab, n_ctx_train;
    uint32_t window;           /* of layers that see the last positions only; 0: none do */
    float rms_eps, embedding_scale;
    float score_scale;         /* of the product of a query and a key */
    float score_cap, logit_cap; /* x = cap * tanh(x / cap); 0: none */
    bg_rope_scaling rope_scaling;
    float rope_base, local_rope_base; /* the latter of layers with a window; 0: the same */
    float rope_scale;          /* of angles: 1 / rope.scaling.factor */
    float rope_magnitude;      /* of turned queries and keys */
    uint32_t rope_n_ctx;       /* the context before stretching */
    bool tied_embeddings;
    uint64_t n_params;         /* weights of all tensors */
} bg_hparams;

/* Loads and checks: architecture, every tensor present with the right shape and a known format.
 * A tensor that the architecture does not have is refused, for leaving it out would change what
 * the model computes. The file stays mapped. Matrices that some files fuse (phi3: attn_qkv, and
 * ffn_up with the gate) are tensors of their own here, under the names that they have elsewhere. */
bg_status bg_model_open(bg_model **m, const char *path, bg_error *err);
/* The same of a file in memory, which outlives the model. `name` appears in errors. */
bg_status bg_model_open_memory(bg_model **m, const void *data, size_t size, const char *name,
                               bg_error *err);
/* A copy of `source` with every tensor re-encoded for the scheme, in memory, threaded. The
 * metadata and tokenizer are shared with the source, which must outlive it. `progress` (may be
 * NULL) hears fractions 0..1. importance NULL: bg_importance_estimate's; for none at all give
 * bg_importance_none's. */
typedef struct bg_importance bg_importance;
bg_status bg_model_quantize(bg_model **m, const bg_model *source, const bg_scheme *scheme,
                            const bg_importance *importance, struct bg_team *team,
                            void (*progress)(void *user, double fraction), void *user,
                            bg_error *err);
/* The same written to a GGUF file piece by piece, with the source's metadata carried over. Any
 * architecture: schemes go by the names of tensors. `progress` (may be NULL), called by one member
 * of the team at a time, returns false to stop (BG_ERR_INTERRUPTED). The file appears whole at the
 * end or not at all; `in` and `out` must not be the same file. */
bg_status bg_quantize_file(const char *in, const char *out, const bg_scheme *scheme,
                           const bg_importance *importance, struct bg_team *team,
                           bool (*progress)(void *user, double fraction), void *user,
                           bg_error *err);
/* Whether a file made of g could be written to `out`: it can be made there, and is no file of g's.
 * Asked before long work. */
bg_status bg_quantize_try_output(const bg_gguf *g, const char *out, bg_error *err);
/* A copy whose matrices are floats: those of quantized formats decoded to F32. The source, which
 * outlives it, was not packed yet (BG_ERR_UNSUPPORTED where it was, and left nothing to decode). */
bg_status bg_model_floats(bg_model **m, const bg_model *source, struct bg_team *team,
                          bg_error *err);
/* What bg_quantize_file would write, without doing it (and without an importance matrix). */
typedef struct bg_quantize_plan {
    uint64_t file_bytes;       /* to the byte */
    uint64_t weight_bytes;     /* of all tensors */
    uint64_t n_params;         /* weights of all tensors */
    uint32_t n_fell_back;      /* tensors whose rows do not fit the scheme's format */
    uint32_t n_requantized;    /* tensors whose source is quantized, and to another format */
    char formats[80];          /* of the matrices, most bytes first: "Q4_K+Q6_K" */
} bg_quantize_plan;
bg_status bg_quantize_plan_file(bg_quantize_plan *plan, const bg_gguf *g, const bg_scheme *scheme,
                                bg_error *err);
/* What the policies need to know of any file; numbers that it lacks are 0. */
bg_scheme_model bg_scheme_facts(const bg_gguf *g);
void bg_model_close(bg_model **m);
/* Puts the matrices into the layout that kernels read (format.h), threaded (team may be NULL). The
 * first session does it; ahead of that it can be timed. Weights that were made in memory are packed
 * in place: their tensor's data is NULL from then on. May be called at any time by any thread. */
bg_status bg_model_pack(const bg_model *m, struct bg_team *team, bg_error *err);
/* Lets the layers' packed matrices go again, where the file still has them; the output's stays. A
 * session that is open may from then on run no pass, unless all of these have been substituted, but
 * for bg_session_output; and no model may be open that was quantized from this one. */
void bg_model_unpack(const bg_model *m);

/* Bytes of memory that bg_model_quantize would take for weights. */
bg_status bg_model_plan_bytes(const bg_model *source, const bg_scheme *scheme, uint64_t *bytes,
                              bg_error *err);
/* Layers in memory: all, but for shapes (shape.h). */
uint32_t bg_model_layers_held(const bg_model *m);

const bg_hparams *bg_model_hparams(const bg_model *m);
const bg_tokenizer *bg_model_tokenizer(const bg_model *m);     /* NULL: the file has none */
const bg_gguf *bg_model_gguf(const bg_model *m);               /* of the source file */
size_t bg_model_tensor_count(const bg_model *m);
const bg_tensor *bg_model_tensor_at(const bg_model *m, size_t i);
const bg_tensor *bg_model_tensor_find(const bg_model *m, const char *name);
size_t bg_model_weight_bytes(const bg_model *m);               /* of all tensors */
double bg_model_bpw(const bg_model *m);                        /* 8 * weight_bytes / n_params */
bg_scheme_model bg_model_scheme_facts(const bg_model *m);
/* What one decoded token reads: every matrix row once, one row of token_embd. */
size_t bg_model_bytes_per_token(const bg_model *m);
/* Multiply-adds count 2, matrices and attention at `depth` cached positions. */
double bg_model_flops_per_token(const bg_model *m, uint32_t depth);
/* The F16 cache of one sequence. Layers with a window keep no more than it and a batch. SIZE_MAX:
 * more than any memory. */
size_t bg_model_kv_bytes(const bg_model *m, uint32_t n_ctx, uint32_t n_batch);
/* How it grows, for batches of up to n_batch: layers that see all take *token bytes for each
 * position, those with a window *window bytes from *positions positions on (and their share of that
 * before). */
void bg_model_kv_growth(const bg_model *m, uint32_t n_batch, double *token, double *window,
                        double *positions);
/* Bytes of it that a token at `depth` cached positions reads. */
double bg_model_kv_read_bytes(const bg_model *m, double depth);

/* Importance (mean squared activation per input column), by tensor name: llama.cpp's GGUF files
 * (NAME.in_sum2 and NAME.counts) and its older .dat files. A tensor of several matrices (experts)
 * has the columns of one after those of another. Values are finite and not negative. */
bg_status bg_importance_open(bg_importance **i, const char *path, bg_error *err);
bg_status bg_importance_open_memory(bg_importance **i, const void *data, size_t size,
                                    const char *name, bg_error *err);
/* n values, or NULL when there are none for the tensor or not so many. */
const float *bg_importance_find(const bg_importance *i, const char *tensor, size_t n);
size_t bg_importance_count(const bg_importance *i);            /* tensors */
const char *bg_importance_path(const bg_importance *i);        /* "": made in memory */
const char *bg_importance_dataset(const bg_importance *i);     /* the text; NULL: unknown */
uint32_t bg_importance_chunks(const bg_importance *i);         /* windows of it; 0: unknown */
/* BG_ERR_INPUT when it is not of this model: no tensor in common, or other row lengths. */
bg_status bg_importance_check(const bg_importance *i, const bg_gguf *g, bg_error *err);
void bg_importance_close(bg_importance **i);
/* What the weights alone tell: means and variances of activations, propagated through the model
 * (estimate.c). One pass over most weights; the team's size (it may be NULL) does not change a bit.
 * Tensors of architectures, and behind parts of a model, that it cannot follow have none. */
bg_status bg_importance_estimate(bg_importance **i, const bg_gguf *g, struct bg_team *team,
                                 bg_error *err);
enum { BG_ESTIMATE_VERSION = 1 }; /* to be raised when it estimates otherwise */
/* An empty one: all errors of a format count as the format sees them. */
bg_status bg_importance_none(bg_importance **i, bg_error *err);
/* One that is filled in memory: from `chunks` windows of chunk_tokens tokens of a text; then, of a
 * tensor, n sums of squares over `count` tokens. BG_ERR_INPUT: a sum that is not finite, a tensor
 * that is there already. */
bg_status bg_importance_new(bg_importance **i, const char *dataset, uint32_t chunks,
                            uint32_t chunk_tokens, bg_error *err);
bg_status bg_importance_add(bg_importance *i, const char *tensor, const double *sums, size_t n,
                            uint64_t count, bg_error *err);
/* Writes what bg_importance_new began, as a GGUF or a .dat file; it appears whole or not at all. */
typedef enum bg_importance_form { BG_IMPORTANCE_GGUF, BG_IMPORTANCE_DAT } bg_importance_form;
bg_status bg_importance_write(const bg_importance *i, const char *path, bg_importance_form form,
                              bg_error *err);

/* ---- tokenizer -------------------------------------------------------------------------- */

/* A NULL tokenizer has no tokens: bg_tokenize refuses it (BG_ERR_INPUT), the getters say so. */
bg_status bg_tokenizer_open(bg_tokenizer **t, const bg_gguf *g, bg_error *err);
void bg_tokenizer_close(bg_tokenizer **t);
uint32_t bg_tokenizer_size(const bg_tokenizer *t);
int32_t bg_tokenizer_bos(const bg_tokenizer *t);                /* -1 when there is none */
int32_t bg_tokenizer_eos(const bg_tokenizer *t);
bool bg_tokenizer_adds_bos(const bg_tokenizer *t);              /* tokenizer.ggml.add_bos_token */
/* Same text for every token, so that the predictions of two models can be compared. */
bool bg_tokenizer_equal(const bg_tokenizer *a, const bg_tokenizer *b);
/* Tokenizes any bytes. add_special puts BOS in front when the model wants it; parse_special reads
 * "<s>" as the token. *tokens is for bg_tokens_free. */
bg_status bg_tokenize(const bg_tokenizer *t, const char *text, size_t n, bool add_special,
                      bool parse_special, int32_t **tokens, size_t *count, bg_error *err);
void bg_tokens_free(int32_t *tokens);
/* The bytes of one token; at most `size` are written; returns the number it has. */
size_t bg_token_bytes(const bg_tokenizer *t, int32_t token, char *buffer, size_t size);

/* ---- running ----------------------------------------------------------------------------- */

enum { BG_BATCH_DEFAULT = 512 };

typedef struct bg_session_options {
    uint32_t n_ctx;       /* positions per sequence; 0: the model's training context */
    uint32_t n_batch;     /* most tokens per eval; 0: BG_BATCH_DEFAULT */
    uint32_t n_seq;       /* sequences with caches of their own; 0: 1 */
    bg_isa isa;           /* the best instruction set to use */
    struct bg_team *team; /* NULL: this thread alone; outlives the session */
    bool any_format;      /* ready for bg_session_substitute of another format */
    bool bare;            /* packs nothing: it is for bg_session_output, or for passes whose
                           * matrices have all been substituted before */
    bg_activations activations; /* simulated ones: of a model whose matrices are floats */
} bg_session_options;

bg_status bg_session_open(bg_session **s, const bg_model *m, const bg_session_options *o,
                          bg_error *err);
void bg_session_close(bg_session **s);
void bg_session_reset(bg_session *s, uint32_t seq);             /* forgets one sequence */
size_t bg_session_kv_bytes(const bg_session *s);
size_t bg_session_scratch_bytes(const bg_session *s);
/* What the layers that the model does not hold would have taken in all evaluations so far: the time
 * of those of the same formats that it holds, for each. 0 for a whole model. */
double bg_session_skipped_seconds(const bg_session *s);

/* Hears what matrices multiply, before it is encoded for their kernels: numbers [first, first + n)
 * of column `column` of an evaluation (columns are its tokens; from the last attention on, those
 * with want[] alone), once for each matrix that reads them. Members of the team call at the same
 * time, with different columns or parts of one. The observer outlives the session or is taken off
 * with NULL. */
typedef struct bg_observer {
    void (*see)(void *user, int member, const bg_tensor *matrix, size_t column, const float *x,
                size_t first, size_t n);
    void *user;
} bg_observer;
void bg_session_observe(bg_session *s, const bg_observer *o);

/* One forward pass over n <= n_batch tokens. Token i belongs to sequence seq[i] (NULL: 0) and takes
 * that sequence's next position; it attends to all earlier ones of its sequence. Logits of the
 * tokens with want[i] (NULL: only the last) are written one after another, n_vocab floats each;
 * without `logits` all but the last product is done. Repeatable: the same batches with the same isa
 * give the same bits, whatever the team's size. Other batches of the same tokens agree within
 * rounding only: kernels for one column and for several add in different orders. BG_ERR_INPUT, with
 * nothing changed, for a token that is not in the vocabulary, a sequence that the session has not,
 * or a context that is full. */
typedef struct bg_batch {
    size_t n;
    const int32_t *tokens;
    const uint32_t *seq;
    const uint8_t *want;
} bg_batch;
bg_status bg_session_eval(bg_session *s, const bg_batch *b, float *logits, bg_error *err);

/* Other weights in the place of a tensor of the session's model, of the same shape: a packed matrix
 * (format.h), which outlives its use. NULL: the model's own again. Takes effect with the next
 * evaluation. Another format than the tensor's only in a session with any_format. */
void bg_session_substitute(bg_session *s, const bg_tensor *t, bg_format format, const void *packed);

/* Half rows: n floats as IEEE halves and a scale, where what is kept of them should take little
 * memory. A row is so many uint16_t; the scale is a power of two, so that none is too large. */
size_t bg_half_row(size_t n);
void bg_half_row_put(const float *x, size_t n, uint16_t *row);
void bg_half_row_get(const uint16_t *row, float *x, size_t n);

/* An evaluation that keeps what is between layers, or does not begin with the first: then sequences
 * must be empty before it and the batch at least two tokens (BG_ERR_INPUT). The residual stream
 * before layer l is [n][n_embd], a row a token; before n_layer, where only the output is left, a
 * row a wanted token. The results are those of the whole pass, bit for bit; with half rows those of
 * one that keeps the stream before layer `first`, too, for it goes on with what is kept. */
typedef struct bg_resume {
    uint32_t first;          /* layers before it are not run, */
    uint32_t end;            /* nor these from this one on, and no output; 0: all are */
    const bg_tensor *until;  /* and the pass ends once the input of this matrix of a layer has been
                                observed; NULL: it does not */
    bool half;               /* from and keep are half rows; the batch is at least two tokens */
    const void *from;        /* the residual stream before it; not read when first is 0 */
    void *const *keep;       /* where to put that before layer 0..n_layer, each or all NULL:
                              * nowhere */
    float *const *middle;    /* the same, of floats, within layer 0..n_layer - 1, after its
                              * attention */
} bg_resume;
bg_status bg_session_resume(bg_session *s, const bg_batch *b, const bg_resume *r, float *logits,
                            bg_error *err);
/* The output alone, of n rows (half: half rows) of the residual stream before n_layer: of a large
 * vocabulary few logits then need be in memory at once. Sequences stay as they are. Those of the
 * whole pass, bit for bit where that had as many rows, else within rounding. */
bg_status bg_session_output(bg_session *s, const void *x, bool half, size_t n, float *logits,
                            bg_error *err);

/* Samples from softmax(logits / temperature); temperature 0 takes the largest. */
struct bg_rng;
int32_t bg_sample_token(const float *logits, uint32_t n_vocab, double temperature,
                        struct bg_rng *rng);

#ifdef __cplusplus
}
#endif
#endif
