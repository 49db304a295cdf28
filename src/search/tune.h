/* tune.h: the weights of a model that is being tuned. Internal to the search room. */
#ifndef BG_SEARCH_TUNE_H
#define BG_SEARCH_TUNE_H

#include "bitgauge/tune.h"
#include "search/grad.h"

/* What of a block can be learned besides its weights: d and dmin, then every sc and m, all as parts
 * of what they were at first. */
enum { BG_TUNE_MOST_PARTS = 2 + 2 * BG_TILE_SUBS };

/* A tensor: on the grid of its format, or as floats where there is none. */
typedef struct bg_tuned {
    const bg_format_info *format;
    const bg_codec *codec;              /* NULL: floats */
    size_t rows, k, blocks, parts;      /* blocks of a row; parts of a block */
    float *w, *m, *v;                   /* [rows][k]: weights, moments of their gradients */
    float *part, *part_m, *part_v;      /* [rows][blocks][parts] */
    float *unit;                        /* what a part of 1 stands for */
    float *scale, *min;                 /* [rows][blocks][subs]: as decoding will have them */
    float pace, part_pace;              /* what a step's rates are parts of */
} bg_tuned;

typedef struct bg_tuned_model {
    const bg_grad_ops *ops;
    bg_team *team;
    size_t n;
    bg_tuned *tensors;
    bg_adam weights, others;            /* of the step that is being made */
} bg_tuned_model;

/* From the blocks of an image; `full` is the model it is of. */
bg_status bg_tuned_open(bg_tuned_model *m, const bg_image *image, const bg_gguf *full,
                        const bg_grad_ops *ops, bg_team *team, bg_error *err);
void bg_tuned_close(bg_tuned_model *m);
/* The functions of bg_grad_weights; user is a bg_tuned_model. */
void bg_tuned_rows(void *user, size_t tensor, size_t first, size_t n, float *out);
void bg_tuned_gradient(void *user, size_t tensor, size_t first, size_t n, const float *dw);
/* Writes all blocks into the image. */
void bg_tuned_store(const bg_tuned_model *m, bg_image *image);

/* What a tuner keeps of its text: slots of n_ctx tokens, in the order of a fixed shuffle. */
struct bg_tuner {
    const bg_model *model;
    bg_team *team;
    bg_isa isa;
    uint32_t n_ctx, per_step;
    double own;
    size_t width, slots, held;          /* the last `held` of the order are never learned from */
    int32_t *text;
    uint32_t *order;
    uint8_t *is_held;                   /* by slot */
    uint16_t *hidden;                   /* of the slots held: what the full model says of them */
    size_t hidden_bytes;
    bool asked;                         /* it has been asked */
    bg_grad *full;
};

/* The window that begins `offset` tokens into a slot, or at the slot's own begin where it would
 * reach what is held out or the end of the text. */
void bg_tuner_window(const bg_tuner *t, size_t slot, size_t offset, int32_t *out);

/* `rows` of bg_grad_weights for a file's own weights; user is its bg_gguf. */
void bg_full_rows(void *user, size_t tensor, size_t first, size_t n, float *out);

#endif
