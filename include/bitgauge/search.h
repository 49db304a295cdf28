/* bitgauge/search.h: recipes: a format for every tensor of a model and, where it is pruned, the
 * channels, heads and layers that are kept; and the search for the best one of a size.
 *
 * Stages build on each other: a recipe is found (allocation), applied, which gives a whole GGUF
 * file in memory (bg_image), and what comes later (error feedback, tuning) only replaces blocks in
 * that image. Every stage is deterministic, so the same request gives the same file.
 */
#ifndef BITGAUGE_SEARCH_H
#define BITGAUGE_SEARCH_H

#include "bitgauge/quality.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- recipes ------------------------------------------------------------------------------ */

/* What is kept of something that a layer has many of: n indices of the source, ascending. `at`
 * NULL: all n of them. */
typedef struct bg_kept { uint32_t n, *at; } bg_kept;

typedef struct bg_recipe_layer {
    bool dropped;            /* the whole layer; later ones move up */
    bg_kept ff;              /* feed-forward channels: rows of gate and up, columns of down */
    bg_kept kv_heads;        /* key-value heads, each with the query heads that share it */
} bg_recipe_layer;

/* Keys of a pruned file: what its source had, in each layer where that is a layer's. */
#define BG_KEY_SOURCE_LAYERS "bitgauge.pruned_from.block_count"
#define BG_KEY_SOURCE_FF "bitgauge.pruned_from.feed_forward_length"
#define BG_KEY_SOURCE_KV_HEADS "bitgauge.pruned_from.head_count_kv"

/* Belongs to one file: tensors and layers are counted as there. */
typedef struct bg_recipe {
    size_t n_tensors;
    bg_format *formats;      /* of each tensor; NONE: as in the source */
    uint32_t n_layer;
    bg_recipe_layer *layers; /* NULL: nothing is pruned, or the file is none that can be */
    uint32_t n_ff, n_head, n_head_kv, head_dim; /* of the source; 0 where layers is NULL */
    size_t n_unnamed;        /* matrices that the text it was read from had no line for */
} bg_recipe;

/* Everything as in the source. The sizes that pruning needs are read from the file's keys; a file
 * without them, with other sizes in each layer, or with experts, has no layers to prune. */
bg_status bg_recipe_new(bg_recipe **r, const bg_gguf *g, bg_error *err);
bg_status bg_recipe_of_scheme(bg_recipe **r, const bg_gguf *g, const bg_scheme *s, bg_error *err);
void bg_recipe_free(bg_recipe **r);
bool bg_recipe_pruned(const bg_recipe *r);
/* Keeps those of n whose flag is set; all set: at is NULL. */
bg_status bg_kept_set(bg_kept *k, const uint8_t *flags, uint32_t n, bg_error *err);

/* What pruning took from the source of a file, "1 of 8 layers, 1024 of 6144 feed-forward channels,
 * 3 of 16 key-value heads"; false: nothing. */
bool bg_pruned_describe(const bg_gguf *g, char *words, size_t size);

/* A recipe as text, for people: CSV with the columns tensor, format, kept. A line a tensor; "kept"
 * lists the rows (or, of ffn_down and attn_output, the columns) that stay as ranges,
 * "0-511;544-767", and is empty for all. A dropped layer is one line: "blk.3,drop,". Lines that
 * begin with # are remarks; blanks and quotes around fields are left out. Reading checks every line
 * against the file: BG_ERR_INPUT names the line, what is wrong and what to do. A tensor without a
 * line stays as it is. */
bg_status bg_recipe_read(bg_recipe **r, const bg_gguf *g, const char *path, bg_error *err);
/* `remark` (may be NULL) comes first. */
bg_status bg_recipe_write(const bg_recipe *r, const bg_gguf *g, const char *path,
                          const char *remark, bg_error *err);

/* Tensor i as the recipe makes it: name (in `name`), format, dimensions, bytes; no data. false: it
 * is not there any more. */
bool bg_recipe_tensor(const bg_recipe *r, const bg_gguf *g, size_t i, char name[96], bg_tensor *to);
/* Whether tensor i could be in format f: a matrix that schemes quantize, whose rows fit. */
bool bg_recipe_fits(const bg_recipe *r, const bg_gguf *g, size_t i, bg_format f);

/* What the file will take, to the byte. BG_ERR_UNSUPPORTED: a source tensor cannot be decoded. */
bg_status bg_recipe_plan(const bg_recipe *r, const bg_gguf *g, const bg_importance *importance,
                         bg_quantize_plan *plan, bg_error *err);

/* ---- applying ----------------------------------------------------------------------------- */

/* A whole GGUF file in memory. `g` reads it; the data of g's tensors lie in `data` and may be
 * written, in their formats, by who owns the image. bg_model_open_memory makes it a model, whose
 * weights are copied when they are packed. */
typedef struct bg_image {
    uint8_t *data;
    size_t bytes;
    bg_gguf *g;
    size_t *source;          /* of each tensor of g: the index in the source */
} bg_image;

/* Quantizes every tensor as the recipe says. importance NULL: bg_importance_estimate's. */
bg_status bg_recipe_apply(bg_image **image, const bg_recipe *r, const bg_gguf *g,
                          const bg_importance *importance, struct bg_team *team,
                          bool (*progress)(void *user, double fraction), void *user, bg_error *err);
/* Encodes the rows of tensor i of the image anew from floats; importance: a row of weights of the
 * squared error, or NULL. */
bg_status bg_image_encode(bg_image *image, size_t i, const float *rows, const float *importance,
                          struct bg_team *team, bg_error *err);
/* A file that was quantized from `g` before, of any formats. BG_ERR_INPUT: a tensor is not there in
 * g or has another shape, as of pruned ones. */
bg_status bg_image_read(bg_image **image, const bg_gguf *g, const char *path, bg_error *err);
/* The formats that an image has, of all that is not pruned. */
bg_status bg_recipe_of_image(bg_recipe **r, const bg_image *image, const bg_gguf *g, bg_error *err);
bg_status bg_image_write(const bg_image *image, const char *path, bg_error *err);
void bg_image_free(bg_image **image);
/* ---- the search ---------------------------------------------------------------------------
 *
 * Finds formats for all tensors so that the KL divergence of the whole model from its
 * full-precision self, on calibration text, is least for a file of so many bytes. The sensitivity
 * of every tensor to every format is measured at the model's output, a knapsack solved with it;
 * then steps from there, with sensitivities measured anew at each place, and a population of
 * mutations, tried on more and more text. Where feedback follows and nothing is pruned first or last,
 * what it is expected to leave is least, not what is measured before it; of large models, where there
 * is no time for all sensitivities, the latter. */
typedef struct bg_search_state {
    const char *stage;       /* "sensitivity" */
    double fraction;         /* of the stage */
    double best_kld;         /* of the best so far; NaN: nothing was evaluated yet */
    uint64_t best_bytes, evaluations;
    double seconds;          /* since the start */
} bg_search_state;

/* Formats and pruning under one budget; or, to compare with, one after the other: `prune` of the
 * weights go first, or formats are chosen for a file that much larger, which is then pruned to its
 * size. */
typedef enum bg_prune_order { BG_PRUNE_JOINT, BG_PRUNE_FIRST, BG_PRUNE_LAST } bg_prune_order;

typedef struct bg_search_options {
    uint64_t file_bytes;     /* of the file, at most */
    const bg_format *formats; /* to choose from */
    size_t n_formats;        /* 0: all that can be written */
    double prune;            /* share of the weights that may go, at most; 0: none */
    bg_prune_order order;
    uint64_t seed;
    double min_tps;          /* tokens/s of decoding, by what each format was read to cost here: an
                              * estimate, and what is chosen depends on the machine; 0: any */
    double seconds;          /* 0: as long as it gets better */
    uint64_t most_asked;     /* evaluations, with those that the checkpoint has; 0: any number */
    bool feedback;           /* then the image is rounded by bg_feedback, which knows what makes up
                              * for lost channels; without an image, who asks does that */
    size_t memory;           /* between evaluations, half for matrices, half for what layers gave;
                              * 0: a third of the model's, but at least 64 MiB */
    bg_isa isa;
    struct bg_team *team;
    const bg_importance *importance; /* of the same calibration text; may be NULL */
    const char *checkpoint;  /* a file of the evaluations made: the same request finds them there
                              * and goes on to the same result. NULL: none. */
    const char *checkpoint_option; /* what another file is chosen with, for messages:
                                    * "--evaluations"; may be NULL */
    bool keep_checkpoint;    /* at the end: for searches of other sizes of the model */
    bool (*progress)(void *user, const bg_search_state *s); /* false: stop with the best so far */
    void *user;
} bg_search_options;

typedef struct bg_search_result {
    bool stopped;            /* by progress, the clock or most_asked: the best so far */
    double kld;              /* on calibration text, measured, before feedback */
    uint64_t file_bytes, evaluations;
    double predicted_tps;    /* of decoding; NaN: min_tps was 0 */
    uint64_t asked;          /* evaluations, and what the checkpoint had of them */
    double seconds, reused;  /* reused: share of layers that were not run again */
} bg_search_result;

/* The fewest bytes of weights that a choice of these formats leaves of a file that is not
 * pruned. */
bg_status bg_search_fewest(uint64_t *bytes, const bg_gguf *g, const bg_format *formats,
                           size_t n_formats, bg_error *err);

/* `image` (may be NULL) is the recipe applied; where channels are gone, what is left of ffn_down
 * makes up for them, as bg_recipe_finish does. BG_ERR_INFEASIBLE: nothing is so small; the
 * message has the smallest size. BG_ERR_UNSUPPORTED: a model that cannot be pruned. */
bg_status bg_search_run(bg_recipe **best, bg_image **image, const bg_model *m,
                        const int32_t *tokens, size_t n_tokens, const bg_search_options *o,
                        bg_search_result *result, bg_error *err);

/* Tokens a second that a model decodes, one after the other at the start of a context: the upper
 * quartile of some short runs. */
bg_status bg_decode_speed(double *tps, const bg_model *m, bg_isa isa, struct bg_team *team,
                          bg_error *err);

/* ---- error feedback ----------------------------------------------------------------------- */

typedef struct bg_feedback_options {
    uint32_t n_ctx;          /* tokens of a window; 0: 512, which is the most */
    uint64_t max_windows;    /* 0: what a quarter of the source's bytes holds, but 32 to 128 */
    double damping;          /* of second moments, a share of their mean; 0: 0.01 */
    bg_isa isa;
    struct bg_team *team;    /* results do not depend on its size */
    bool (*progress)(void *user, double fraction); /* false stops: BG_ERR_INTERRUPTED */
    void *user;
} bg_feedback_options;

/* Rounds the matrices of an image anew, layer by layer, each so that on the calibration text its
 * outputs change least: errors of one column are made good by the next ones, and what a matrix
 * reads comes from the image's own matrices before it, as they have become. `source` holds the
 * weights that are meant, in the shapes of the image. Formats without a grid (8 bits and more) and
 * an embedding stay as they are. A matrix that a stop leaves out keeps what it had: the image is
 * always whole. */
bg_status bg_feedback(bg_image *image, const bg_model *source, const int32_t *tokens,
                      size_t n_tokens, const bg_feedback_options *o, bg_error *err);
/* What is left to do for an image that bg_recipe_apply made of `source` with that importance.
 * Where the recipe prunes channels and heads, what is left of ffn_down and attn_output makes up
 * for them, by least squares on the text; what cannot be made up for stays as it is cut. Then,
 * with `feed_back`, the above. Of the same recipe, text and importance this makes the image that
 * bg_search_run has. */
bg_status bg_recipe_finish(bg_image *image, const bg_recipe *r, const bg_model *source,
                           const int32_t *tokens, size_t n_tokens, const bg_importance *importance,
                           bool feed_back, const bg_feedback_options *o, bg_error *err);

#ifdef __cplusplus
}
#endif
#endif
