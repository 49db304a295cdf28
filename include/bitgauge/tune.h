/* bitgauge/tune.h: a quantized model made better as a whole, by the gradient of what it loses.
 *
 * The loss is the mean over the positions of a calibration text of KL(model || quantized model).
 * Weights are kept in F32 beside the blocks; each step runs the model with every weight on the
 * level that it is nearest to, and moves weights, scales and mins against the gradient as if
 * rounding were not there (the straight-through estimator). What comes out are ordinary blocks of
 * the same formats.
 */
#ifndef BITGAUGE_TUNE_H
#define BITGAUGE_TUNE_H

#include "bitgauge/search.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bg_tuner bg_tuner;

typedef struct bg_tuner_options {
    uint32_t n_ctx;          /* of a window; 0: 512 */
    uint32_t windows;        /* of a step; 0: 1 */
    double own;              /* once all of the given text has taught: share of what teaches that
                              * the model writes as it is needed, at temperature 1 */
    double held_out;         /* share of the windows that never teach, but judge; 0: an eighth, 16
                              * at most */
    bg_isa isa;
    struct bg_team *team;    /* results do not depend on its size */
} bg_tuner_options;

/* Cuts windows from the text, in each pass over it at other places; what the model says of them it
 * is asked as they are needed. The model outlives the tuner; tokens are copied. BG_ERR_INPUT: a
 * text of less than 8 windows. BG_ERR_UNSUPPORTED: gradients are known for dense models of the
 * llama family. */
bg_status bg_tuner_open(bg_tuner **t, const bg_model *m, const int32_t *tokens, size_t n_tokens,
                        const bg_tuner_options *o, bg_error *err);
void bg_tuner_close(bg_tuner **t);

/* How far a run has come. Divergences are nats a token on calibration text: `loss` of the latest
 * steps, `start` and `best` on the windows held out. */
typedef struct bg_tune_progress {
    uint64_t step, steps, tokens;
    double loss, start, best, seconds;
} bg_tune_progress;

typedef struct bg_tune_options {
    uint64_t steps;          /* 0: as many as fit `seconds`, by what the ones so far took */
    double seconds;          /* from the start of the run */
    double rate;             /* of weights: about so many levels a step at most; 0: 0.005, in more
                              * than 2000 steps less, by the root of their number */
    double scale_rate;       /* of scales and mins: so many levels at the ends of a grid; of norms
                              * as much of their size, on average; 0: 0.003, likewise */
    uint64_t seed;           /* order of the windows */
    /* Hears every step; returns false to stop. Stopping is no error: the best so far stays. */
    bool (*progress)(void *user, const bg_tune_progress *p);
    void *user;
} bg_tune_options;

/* Tunes the blocks of an image of the same model (pruned or not), which always holds the best so
 * far as the held-out windows see it. The same seed and steps give the same blocks. */
bg_status bg_tuner_run(bg_tuner *t, bg_image *image, const bg_tune_options *o,
                       bg_tune_progress *result, bg_error *err);


/* ---- sensitivities ------------------------------------------------------------------------ */

/* The diagonal of the Fisher information of the full model: of each weight, the expected square of
 * the slope of log p(token), by the text's own contexts and tokens drawn from the model. It
 * foretells what small errors dw cost: KL is about 1/2 sum F dw^2 nats a token. Memory: 4 bytes a
 * weight. */
typedef struct bg_fisher bg_fisher;

/* From `windows` of the calibration windows that teach; 0: all of them. */
bg_status bg_tuner_fisher(bg_tuner *t, size_t windows, bg_fisher **f, bg_error *err);
void bg_fisher_free(bg_fisher **f);
/* F of the weights of a tensor of the model's file, row by row: weights of the squared error for
 * bg_format_encode, better than those of its columns alone. */
const float *bg_fisher_weights(const bg_fisher *f, size_t tensor);
/* Their means over the rows: for encoders that take one row of weights for all. */
const float *bg_fisher_columns(const bg_fisher *f, size_t tensor);
/* The rise of the divergence, in nats a token, with a tensor's weights replaced by these blocks (in
 * GGUF's layout) of the same shape. */
bg_status bg_fisher_rise(const bg_fisher *f, size_t tensor, const bg_format_info *format,
                         const void *blocks, double *rise, bg_error *err);

#ifdef __cplusplus
}
#endif
#endif
