/* The Fisher information of the full model's weights. */
#include "search/tune.h"

#include <string.h>

struct bg_fisher {
    const bg_gguf *g;
    size_t n;
    float **weights, **columns;         /* of each tensor */
};

/* A pass adds the squares of its gradients: of a window's sum of slopes, those of different
 * positions have nothing to do with each other, for their tokens are drawn one by one. */
static void add_squares(void *user, size_t tensor, size_t first, size_t n, const float *dw)
{
    const bg_fisher *f = user;
    size_t k = bg_gguf_tensor_at(f->g, tensor)->ne[0];
    float *sum = f->weights[tensor] + first * k;
    for (size_t i = 0; i < n * k; i++) sum[i] += dw[i] * dw[i];
}

static void get_rows(void *user, size_t tensor, size_t first, size_t n, float *out)
{
    bg_full_rows((void *)(uintptr_t)((const bg_fisher *)user)->g, tensor, first, n, out);
}

static bg_status reserve(bg_fisher *f, bg_error *err)
{
    f->weights = bg_alloc(f->n, sizeof *f->weights);
    f->columns = bg_alloc(f->n, sizeof *f->columns);
    if (!f->weights || !f->columns) return bg_fail_nomem(err, "sensitivities", f->n);
    for (size_t i = 0; i < f->n; i++) {
        const bg_tensor *t = bg_gguf_tensor_at(f->g, i);
        f->weights[i] = bg_alloc(t->ne[0] * t->ne[1], sizeof(float));
        f->columns[i] = bg_alloc(t->ne[0], sizeof(float));
        if (!f->weights[i] || !f->columns[i])
            return bg_fail_nomem(err, t->name, t->ne[0] * t->ne[1] * sizeof(float));
    }
    return BG_OK;
}

static void finish(bg_fisher *f, size_t tokens)
{
    for (size_t i = 0; i < f->n; i++) {
        const bg_tensor *t = bg_gguf_tensor_at(f->g, i);
        for (size_t r = 0; r < t->ne[1]; r++)
            for (size_t c = 0; c < t->ne[0]; c++) {
                float *w = &f->weights[i][r * t->ne[0] + c];
                *w /= (float)tokens;
                f->columns[i][c] += *w / (float)t->ne[1];
            }
    }
}

bg_status bg_tuner_fisher(bg_tuner *t, size_t windows, bg_fisher **out, bg_error *err)
{
    bg_fisher *f = bg_alloc(1, sizeof *f);
    bg_grad_weights w = {f, get_rows, add_squares};
    bg_grad *grad = NULL;
    int32_t *tokens = NULL;
    bg_status s;
    *out = NULL;
    if (!f) return bg_fail_nomem(err, "sensitivities", sizeof *f);
    f->g = bg_model_gguf(t->model);
    f->n = bg_gguf_tensor_count(f->g);
    s = reserve(f, err);
    if (s == BG_OK)
        s = bg_grad_open(&grad, f->g, bg_model_hparams(t->model), t->n_ctx, 1, true, t->isa,
                         t->team, err);
    if (s == BG_OK && !(tokens = bg_alloc(t->n_ctx, sizeof *tokens)))
        s = bg_fail_nomem(err, "a window", t->n_ctx * sizeof *tokens);
    if (windows == 0 || windows > t->slots - t->held) windows = t->slots - t->held;
    for (size_t i = 0; s == BG_OK && i < windows; i++) {
        bg_grad_batch b = {.tokens = tokens, .n_windows = 1, .seed = i};
        bg_tuner_window(t, t->order[i], 0, tokens);
        bg_grad_run(grad, &w, &b);
    }
    bg_free(tokens);
    bg_grad_close(&grad);
    if (s == BG_OK) finish(f, windows * t->n_ctx);
    else bg_fisher_free(&f);
    *out = f;
    return s;
}

void bg_fisher_free(bg_fisher **fisher)
{
    bg_fisher *f = *fisher;
    if (!f) return;
    for (size_t i = 0; i < f->n; i++) {
        if (f->weights) bg_free(f->weights[i]);
        if (f->columns) bg_free(f->columns[i]);
    }
    bg_free(f->weights);
    bg_free(f->columns);
    bg_free(f);
    *fisher = NULL;
}

const float *bg_fisher_weights(const bg_fisher *f, size_t tensor) { return f->weights[tensor]; }
const float *bg_fisher_columns(const bg_fisher *f, size_t tensor) { return f->columns[tensor]; }

bg_status bg_fisher_rise(const bg_fisher *f, size_t tensor, const bg_format_info *format,
                         const void *blocks, double *rise, bg_error *err)
{
    const bg_tensor *t = bg_gguf_tensor_at(f->g, tensor);
    size_t k = t->ne[0], bytes = bg_format_row_bytes(format, k);
    float *row = bg_alloc(2 * k, sizeof *row);
    double sum = 0;
    if (!row) return bg_fail_nomem(err, t->name, 2 * k * sizeof *row);
    for (size_t r = 0; r < t->ne[1]; r++) {
        const float *weights = f->weights[tensor] + r * k;
        get_rows((void *)(uintptr_t)f, tensor, r, 1, row);
        bg_format_decode(format, (const uint8_t *)blocks + r * bytes, row + k, k);
        for (size_t i = 0; i < k; i++) {
            double error = (double)row[k + i] - (double)row[i];
            sum += (double)weights[i] * error * error;
        }
    }
    bg_free(row);
    *rise = 0.5 * sum;
    return BG_OK;
}
