/* windows.h: a model run over the windows of a text, a step at a time. Internal. */
#ifndef BG_WINDOWS_H
#define BG_WINDOWS_H

#include "base/base.h"
#include "base/team.h"
#include "bitgauge/quality.h"

/* Windows of a text: window w is tokens[w * n_ctx ...]. Positions n_ctx / 2 to n_ctx - 2 predict
 * the token after them; `scored` of them a window. */
typedef struct bg_windows {
    int32_t *tokens;
    uint64_t count;
    uint32_t n_ctx, scored;
} bg_windows;

/* A step is one evaluation: a few whole windows side by side when they are short, else a piece of
 * one window. Its rows (logits of scored positions) follow one another in the order of the text,
 * from row `first_row` of the whole text on. */
typedef struct bg_step {
    uint64_t window;         /* first */
    uint32_t windows;        /* side by side */
    uint32_t begin, end;     /* positions of each */
    uint64_t first_row;
    size_t rows;
} bg_step;

/* Steps in order: start from a zeroed one. false after the last. */
bool bg_windows_next(const bg_windows *w, bg_step *step);
/* Windows of a step, but for the last one. */
uint32_t bg_windows_abreast(const bg_windows *w);
/* Most rows that a step has. */
size_t bg_windows_step_rows(const bg_windows *w);

typedef struct bg_runner {
    const bg_windows *windows;
    bg_session *session;
    int32_t bos;             /* what the first token of a window becomes; -1: stays */
    int32_t *tokens;         /* of one step, and the sequence and wish of each */
    uint32_t *seq;
    uint8_t *want;
    void **keep;             /* by layer: only the last is set */
    uint32_t n_layer;
    size_t n_vocab, n_embd;
} bg_runner;

/* bare: its session only gives outputs; no step is run. */
bg_status bg_runner_open(bg_runner *r, const bg_windows *w, const bg_model *m,
                         bg_activations activations, bool bare, const bg_quality_options *o,
                         bg_error *err);
void bg_runner_close(bg_runner *r);
/* Evaluates a step up to the output: `stream` has room for step->rows rows of n_embd. Every step of
 * a window must be run, in order. */
bg_status bg_runner_step(bg_runner *r, const bg_step *step, float *stream, bg_error *err);

/* Rows are cut into pieces, at least 2 rows each unless there is but one, whose logits take no more
 * than `bytes`, or 4 rows. Returns how many pieces; piece i begins at bg_piece_begin(). */
size_t bg_pieces(size_t rows, size_t n_vocab, size_t bytes);
static inline size_t bg_piece_begin(size_t rows, size_t pieces, size_t i)
{
    return rows * i / pieces;
}

#endif
