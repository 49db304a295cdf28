/* bitgauge/quality.h: what quantization costs (perplexity, KL divergence), and which
 * weights matter (importance).
 *
 * Conventions of llama-perplexity: the text is tokenized once and cut into windows of n_ctx
 * tokens; the first token of each is replaced by BOS (when the model uses one); the tokens in
 * the second half of each window are scored, each from everything before it in its window.
 * KL divergence is sum over the vocabulary of p_base * (log p_base - log p), natural logarithm.
 */
#ifndef BITGAUGE_QUALITY_H
#define BITGAUGE_QUALITY_H

#include "bitgauge/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bg_quality {
    uint64_t windows, tokens;          /* scored */
    double ppl, ppl_se;                /* standard errors are NaN for a single token */
    bool has_base;                     /* else the fields down to rms_dp_pct are NaN */
    double base_ppl;
    double kld_mean, kld_se, kld_median, kld_p99, kld_p999, kld_max;
    double same_top_pct, rms_dp_pct;   /* rms of p(token) - p_base(token), in percent */
    double seconds;                    /* of bg_quality_measure */
} bg_quality;

typedef struct bg_quality_options {
    uint32_t n_ctx;        /* 0: 512; at least 4 */
    uint64_t max_windows;  /* 0: all that fit */
    bool spread;           /* max_windows of them evenly over the text, not the first ones */
    bg_isa isa;
    bg_activations activations; /* simulated in the model that is measured, not in the base */
    struct bg_team *team;  /* results do not depend on its size */
    size_t cache_bytes;    /* memory for what the base's layers make of the text; 0: 512 MiB. For a
                            * single measurement 1 is best: both models then run side by side. */
    size_t logits_bytes;   /* memory for logits of each, at least 4 tokens; 0: 32 MiB */
    /* Hears windows done and in all, once in a while and at the end; returns false to stop
     * (BG_ERR_INTERRUPTED). May be NULL. */
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
} bg_quality_options;

/* Windows of a text and what a base model makes of them: its residual stream before the output, a
 * row a scored token. These are kept in memory up to cache_bytes and computed again past that;
 * nothing goes to disk. Logits are computed anew, a piece of the text at a time. */
typedef struct bg_reference bg_reference;

/* Cuts the text into windows and runs the base (which outlives this; NULL: only perplexity can be
 * measured) over those that fit the cache. tokens are copied.
 * BG_ERR_INPUT when the text is shorter than one window (says how many tokens are needed). */
bg_status bg_reference_open(bg_reference **r, const bg_model *base, const int32_t *tokens,
                            size_t n_tokens, const bg_quality_options *o, bg_error *err);
void bg_reference_close(bg_reference **r);
uint64_t bg_reference_windows(const bg_reference *r);

/* Measures `model` on the reference's windows; of the options, isa, activations, team, logits_bytes
 * and progress count. With activations other than its own the model must not be packed yet
 * (bg_model_floats).
 * BG_ERR_INPUT when its vocabulary is not the base's, or its logits are not finite. */
bg_status bg_quality_measure(const bg_reference *r, const bg_model *model,
                             const bg_quality_options *o, bg_quality *q, bg_error *err);

/* ---- importance ---------------------------------------------------------------------------
 *
 * By the conventions of llama-imatrix: windows as above but whole, every position counts, and the
 * matrices of the layers alone. */
typedef struct bg_importance_options {
    uint32_t n_ctx;        /* 0: 512 */
    uint64_t max_windows;  /* 0: all that fit */
    bool output;           /* the output matrix too */
    bg_isa isa;
    struct bg_team *team;
    bool (*progress)(void *user, uint64_t done, uint64_t total); /* as above */
    void *user;
} bg_importance_options;

/* Runs the model over a text and adds up the squares of what its matrices read. `dataset` names the
 * text in the file. BG_ERR_INPUT: the text is shorter than one window; an activation is not
 * finite. */
bg_status bg_importance_collect(bg_importance **i, const bg_model *m, const int32_t *tokens,
                                size_t n_tokens, const char *dataset,
                                const bg_importance_options *o, bg_error *err);

/* The path of the evaluation text that is installed for this model (the embedded one has such), or
 * NULL: then let the model write its own. Free with bg_free_text. */
char *bg_quality_text(const bg_model *m);
/* The same of the text to calibrate on; NULL: the user has to give one. */
char *bg_calibration_text(const bg_model *m);

/* Share of text b, 0 to 1, in runs of 32 tokens that stand anywhere in text a, too: what was
 * calibrated on a says little on such text. */
double bg_tokens_overlap(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b);
/* Warns in the log where it is a good part of b, on which is measured. */
void bg_tokens_warn_overlap(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b);

/* Text that the model writes itself: n_docs documents of doc_tokens tokens, sampled at
 * `temperature` without filters, `parallel` at a time. *tokens (bg_tokens_free) is the
 * concatenation; each document starts with BOS (without one, EOS), and anew after an EOS.
 * Document i depends on the seed and i alone, so more documents only add to the text. */
typedef struct bg_self_text_options {
    size_t n_docs, doc_tokens;
    uint32_t parallel;     /* 0: 16 */
    double temperature;
    uint64_t seed;
    bg_isa isa;
    struct bg_team *team;
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
} bg_self_text_options;
bg_status bg_self_text(const bg_model *m, const bg_self_text_options *o, int32_t **tokens,
                       size_t *count, bg_error *err);

#ifdef __cplusplus
}
#endif
#endif
