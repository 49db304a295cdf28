#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

enum { MIN_RUNS = 5, MAX_RUNS = 1000, VARIED_ROWS = 16 };

static int compare_times(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The inputs of a timing: a few random rows, over and over, are as good as all random. */
static void fill(const bg_format_info *f, bg_matmul *a, uint8_t *w, uint8_t *x, size_t copies)
{
    bg_rng rng;
    bg_rng_seed(&rng, 1);
    for (size_t r = 0; r < copies * a->rows; r++) {
        if (r < VARIED_ROWS)
            bg_input_weights(f, BG_INPUT_RANDOM, &rng, w + r * a->w_stride, a->k);
        else
            memcpy(w + r * a->w_stride, w + r % VARIED_ROWS * a->w_stride, a->w_stride);
    }
    for (size_t c = 0; c < a->cols; c++)
        bg_input_column(f, BG_INPUT_RANDOM, &rng, x + c * a->x_stride, a->k);
}

static uint64_t median_run(const bg_kernel *kernel, bg_matmul *a, const uint8_t *w, size_t copies,
                           double seconds, size_t *runs)
{
    uint64_t times[MAX_RUNS], spent = 0;
    size_t n = 0;
    kernel->run(a);
    while (n < MIN_RUNS || (n < MAX_RUNS && (double)spent < seconds * 1e9)) {
        uint64_t start;
        a->w = w + (n + 1) % copies * a->rows * a->w_stride;
        start = bg_clock_ns();
        kernel->run(a);
        times[n] = bg_clock_ns() - start;
        spent += times[n++];
    }
    qsort(times, n, sizeof *times, compare_times);
    *runs = n;
    return times[n / 2] ? times[n / 2] : 1;
}

bg_status bg_kernel_time(const bg_kernel *kernel, size_t rows, size_t k, size_t cols,
                         size_t footprint, double seconds, bg_kernel_timing *timing, bg_error *err)
{
    const bg_format_info *f = bg_format_get(kernel->format);
    bg_matmul a = {.w_stride = bg_format_row_bytes(f, k), .y_stride = rows, .k = k, .rows = rows,
                   .cols = kernel->op == BG_OP_GEMV ? 1 : cols};
    size_t matrix, copies, x_bytes, y_bytes;
    uint8_t *w, *x, *y;
    uint64_t ns;
    if (a.w_stride == 0)
        return bg_fail(err, BG_ERR_INPUT, NULL, "rows of %zu weights: %s needs a multiple of %u", k,
                       f->name, f->block_weights);
    a.x_stride = bg_activation_bytes(f->format, k);
    if (__builtin_mul_overflow(rows, a.w_stride, &matrix) || rows == 0 || a.cols == 0 ||
        __builtin_mul_overflow(a.cols, a.x_stride, &x_bytes) ||
        __builtin_mul_overflow(a.cols * sizeof(float), rows, &y_bytes))
        return bg_fail(err, BG_ERR_INPUT, NULL,
                       "%zu rows of %zu weights by %zu columns: give a size that fits in memory",
                       rows, k, a.cols);
    copies = footprint > matrix ? (footprint + matrix - 1) / matrix : 1;
    w = bg_alloc_large(copies * matrix);
    x = bg_alloc_large(x_bytes);
    y = bg_alloc_large(y_bytes);
    if (w && x && y) {
        a.w = w;
        a.x = x;
        a.y = (float *)(void *)y;
        fill(f, &a, w, x, copies);
        ns = median_run(kernel, &a, w, copies, seconds, &timing->runs);
        timing->seconds = (double)ns * 1e-9;
        timing->weight_gbs = (double)matrix / (double)ns;
        timing->gflops = 2.0 * (double)rows * (double)k * (double)a.cols / (double)ns;
    }
    bg_free_large(w, copies * matrix);
    bg_free_large(x, x_bytes);
    bg_free_large(y, y_bytes);
    return w && x && y ? BG_OK : bg_fail_nomem(err, "timing a kernel", copies * matrix);
}
