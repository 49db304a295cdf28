#include "kernels/kernels.h"

#include "formats/pack.h"

#include <stdlib.h>
#include <string.h>

enum { MIN_RUNS = 5, MAX_RUNS = 1000 };

static int compare_times(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The inputs of a timing: one random panel, over and over, is as good as all random. `rows` has
 * room for the rows of a panel. */
static void fill(const bg_kernel *kernel, bg_matmul *a, uint8_t *w, uint8_t *x, uint8_t *rows,
                 size_t panels)
{
    const bg_format_info *f = bg_format_get(kernel->format);
    size_t row_bytes = bg_format_row_bytes(f, a->k);
    bg_rng rng;
    bg_rng_seed(&rng, 1);
    for (size_t r = 0; r < BG_PANEL_ROWS; r++)
        bg_input_weights(f, BG_INPUT_RANDOM, &rng, rows + r * row_bytes, a->k);
    bg_pack_panel(f, rows, row_bytes, BG_PANEL_ROWS, a->k, rows, w);
    for (size_t p = 1; p < panels; p++) memcpy(w + p * a->panel_bytes, w, a->panel_bytes);
    for (size_t c = 0; c < a->cols; c++)
        bg_input_column(kernel->activation, BG_INPUT_RANDOM, &rng, x + c * a->x_stride, a->k);
}

static uint64_t median_run(const bg_kernel *kernel, bg_matmul *a, const uint8_t *w, size_t bytes,
                           size_t copies, double seconds, size_t *runs)
{
    uint64_t times[MAX_RUNS], spent = 0;
    size_t n = 0;
    kernel->run(a);
    while (n < MIN_RUNS || (n < MAX_RUNS && (double)spent < seconds * 1e9)) {
        uint64_t start;
        a->w = w + (n + 1) % copies * bytes;
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
    bg_matmul a = {.panel_bytes = bg_panel_bytes(f, k), .y_stride = rows, .k = k, .rows = rows,
                   .cols = kernel->op == BG_OP_GEMV ? 1 : cols};
    size_t matrix = bg_packed_bytes(f, rows, k), copies, x_bytes, y_bytes;
    uint8_t *w, *x, *y, *panel;
    uint64_t ns;
    if (a.panel_bytes == 0)
        return bg_fail(err, BG_ERR_INPUT, NULL, "rows of %zu weights: %s needs a multiple of %u", k,
                       f->name, f->block_weights);
    a.x_stride = bg_activation_bytes(kernel->activation, k);
    if (matrix == 0 || rows == 0 || a.cols == 0 ||
        __builtin_mul_overflow(a.cols, a.x_stride, &x_bytes) ||
        __builtin_mul_overflow(a.cols * sizeof(float), rows, &y_bytes))
        return bg_fail(err, BG_ERR_INPUT, NULL,
                       "%zu rows of %zu weights by %zu columns: give a size that fits in memory",
                       rows, k, a.cols);
    copies = footprint > matrix ? (footprint + matrix - 1) / matrix : 1;
    w = bg_alloc_large(copies * matrix);
    x = bg_alloc_large(x_bytes);
    y = bg_alloc_large(y_bytes);
    panel = bg_alloc(BG_PANEL_ROWS, bg_format_row_bytes(f, k));
    if (w && x && y && panel) {
        a.w = w;
        a.x = x;
        a.y = (float *)(void *)y;
        fill(kernel, &a, w, x, panel, copies * (matrix / a.panel_bytes));
        ns = median_run(kernel, &a, w, matrix, copies, seconds, &timing->runs);
        timing->seconds = (double)ns * 1e-9;
        timing->weight_gbs = (double)(rows * bg_format_row_bytes(f, k)) / (double)ns;
        timing->gflops = 2.0 * (double)rows * (double)k * (double)a.cols / (double)ns;
    }
    bg_free_large(w, copies * matrix);
    bg_free_large(x, x_bytes);
    bg_free_large(y, y_bytes);
    bg_free(panel);
    return w && x && y && panel ? BG_OK : bg_fail_nomem(err, "timing a kernel", copies * matrix);
}
