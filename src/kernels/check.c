/* Checks of kernels: REF against decoded blocks, everything else against REF. Each kernel runs in a
 * child process, its buffers flush against pages that may not be touched. */
#include "kernels/kernels.h"

#include "formats/pack.h"
#include "isa/ref/ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_MESSAGES = 8, MESSAGE = 200, MAX_ROWS = 69, LARGEST_K = 4224, MAX_COLS = 1024 };

/* Row counts for every length, and those of several panels. */
static const size_t row_counts[] = {1, 5, 16, 21}, many_rows[] = {37, MAX_ROWS};
static const size_t col_counts[] = {1, 2, 3, 4, 5, 7, 8, 13};
/* A batch's worth of columns, tried on one shape. */
static const size_t many_cols[] = {16, 17, 31, 32, 33, 64, 100, 512};
/* In blocks of the format, by block size: one, a few, and more than loops take at a time. */
static const size_t block_counts[3][4] = {{1, 7, 40, 525}, {1, 3, 11, 132}, {1, 2, 5, 9}};

/* What the child reports, in memory shared with the parent. */
typedef struct outcome {
    bg_kernel_check count;
    size_t n_messages;
    char messages[MAX_MESSAGES][MESSAGE];
} outcome;

/* Memory between two pages that fault. */
typedef struct arena { uint8_t *map, *data; size_t size, map_size; } arena;

static bool arena_open(arena *a, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    a->size = (bytes + page - 1) / page * page;
    a->map_size = a->size + 2 * page;
    a->map = mmap(NULL, a->map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (a->map == MAP_FAILED) {
        a->map = NULL;
        return false;
    }
    a->data = a->map + page;
    return mprotect(a->data, a->size, PROT_READ | PROT_WRITE) == 0;
}

static void arena_close(arena *a)
{
    if (a->map) munmap(a->map, a->map_size);
}

/* `bytes` of the arena that end where it ends, or begin where it begins. */
static uint8_t *arena_place(const arena *a, size_t bytes, bool at_end)
{
    return at_end ? a->data + a->size - bytes : a->data;
}

typedef struct check {
    const bg_kernel *kernel;
    const bg_format_info *f;
    const size_t *cols;        /* counts of columns to try */
    size_t n_cols, max_cols;   /* max_cols: of those */
    bool wide;                 /* many_cols are tried too */
    arena w, x, y;
    uint8_t *rows, *zeros;     /* GGUF rows before they are packed; a row of zeros */
    float *truth, *magnitude;  /* max_cols columns of MAX_ROWS */
    float *lost;               /* the same: what weights lose in bf16; zero for other kernels */
    float *row, *column;       /* decoded */
    outcome *result;
    bg_input input;
} check;

static const char *input_name(bg_input kind)
{
    static const char *const names[] = {"random", "extreme", "strange scales", "exact"};
    return names[kind];
}

static __attribute__((format(printf, 3, 4))) void fail(check *c, const bg_matmul *a,
                                                       const char *format, ...)
{
    outcome *o = c->result;
    char *text = o->messages[o->n_messages];
    va_list list;
    int n;
    if (o->n_messages == MAX_MESSAGES) return;
    o->n_messages++;
    n = snprintf(text, MESSAGE, "%s %s %s, %s inputs, k %zu, %zu rows, %zu columns: ", c->f->name,
                 bg_op_name(c->kernel->op), bg_isa_name(c->kernel->isa), input_name(c->input), a->k,
                 a->rows, a->cols);
    va_start(list, format);
    vsnprintf(text + n, MESSAGE - (size_t)n, format, list);
    va_end(list);
}

/* The right answers: of REF, or for REF itself of the decoded numbers of the rows. */
static void find_truth(check *c, const bg_matmul *inputs, size_t row_bytes)
{
    bg_matmul a = *inputs;
    bg_format activation = c->kernel->activation;
    a.cols = c->max_cols;
    a.y_stride = MAX_ROWS;
    a.y = c->magnitude;
    bg_ref_matmul(c->f->format, activation, BG_REF_MAGNITUDES, &a);
    if (activation == BG_FORMAT_BF16) {
        a.y = c->lost;
        bg_ref_matmul(c->f->format, activation, BG_REF_ROUNDINGS, &a);
    }
    a.y = c->truth;
    if (c->kernel->isa != BG_ISA_REF) {
        bg_ref_matmul(c->f->format, activation, BG_REF_VALUES, &a);
        return;
    }
    for (size_t col = 0; col < a.cols; col++) {
        bg_format_decode(bg_format_get(activation), (const uint8_t *)a.x + col * a.x_stride,
                         c->column, a.k);
        for (size_t r = 0; r < a.rows; r++) {
            double sum = 0;
            bg_format_decode(c->f, c->rows + r * row_bytes, c->row, a.k);
            for (size_t i = 0; i < a.k; i++) sum += (double)c->row[i] * (double)c->column[i];
            a.y[col * a.y_stride + r] = (float)sum;
        }
    }
}

/* How far element i of the result may be from the truth. */
static double bound_of(const check *c, const bg_matmul *a, size_t i)
{
    /* Each block adds a handful of roundings of at most half an ulp of the sum so far, and the
     * lanes are added in the end. Numbers of a decoded row are rounded themselves. */
    double steps = (double)(a->k / c->f->block_weights) + 12, least = 0x1p-149;
    if (c->kernel->activation == BG_FORMAT_BF16) {
        /* There every product is added by itself, and denormal numbers are zero. A weight near the
         * middle between two of bf16 may go either way, which loses about the same. */
        steps = (double)a->k + 12;
        least = 0x1p-126;
    }
    if (c->input == BG_INPUT_EXACT && !(c->lost[i] > 0)) return 0;
    return (double)c->lost[i] + 0x1p-24 * steps * (double)c->magnitude[i] + least * steps;
}

/* Compares results with the truth from column `first` on, and looks whether the gaps between
 * columns were left alone. */
static void compare(check *c, const bg_matmul *a, size_t first, float untouched)
{
    for (size_t col = 0; col < a->cols; col++) {
        for (size_t r = 0; r < a->y_stride && (r < a->rows || col + 1 < a->cols); r++) {
            size_t i = (first + col) * MAX_ROWS + r;
            float got = a->y[col * a->y_stride + r];
            float want = r < a->rows ? c->truth[i] : untouched;
            double bound = r < a->rows ? bound_of(c, a, i) : 0;
            if (fabs((double)got - (double)want) <= bound) continue;
            c->result->count.failed++;
            fail(c, a, "%s %zu of column %zu is %.9g, not %.9g",
                 r < a->rows ? "row" : "overwritten: what lies behind the rows, at", r, col,
                 (double)got, (double)want);
            return;
        }
    }
    c->result->count.passed++;
}

static void check_inputs(check *c, size_t k, size_t rows, bg_rng *rng)
{
    bool at_end = bg_rng_below(rng, 4) != 0;
    bg_format activation = c->kernel->activation;
    size_t row_bytes = bg_format_row_bytes(c->f, k), x_bytes = bg_activation_bytes(activation, k);
    bg_matmul a = {.panel_bytes = bg_panel_bytes(c->f, k), .x_stride = x_bytes, .k = k,
                   .rows = rows};
    uint8_t *w = arena_place(&c->w, bg_packed_bytes(c->f, rows, k), at_end);
    uint8_t *x = arena_place(&c->x, x_bytes * c->max_cols, at_end);
    for (size_t r = 0; r < rows; r++)
        bg_input_weights(c->f, c->input, rng, c->rows + r * row_bytes, k);
    for (size_t r = 0; r < rows; r += BG_PANEL_ROWS)
        bg_pack_panel(c->f, c->rows + r * row_bytes, row_bytes, rows - r, k, c->zeros,
                      w + r / BG_PANEL_ROWS * a.panel_bytes);
    for (size_t i = 0; i < c->max_cols; i++)
        bg_input_column(activation, c->input, rng, x + i * x_bytes, k);
    a.w = w;
    a.x = x;
    find_truth(c, &a, row_bytes);
    for (size_t i = 0; i < c->n_cols; i++) {
        const float untouched = -12345.0f;
        size_t first = at_end ? c->max_cols - c->cols[i] : 0, floats;
        a.cols = c->cols[i];
        a.x = x + first * x_bytes;
        a.y_stride = rows + bg_rng_below(rng, 3);
        floats = a.y_stride * (a.cols - 1) + rows;
        a.y = (float *)(void *)arena_place(&c->y, floats * sizeof(float), at_end);
        for (size_t j = 0; j < floats; j++) a.y[j] = untouched;
        c->kernel->run(&a);
        compare(c, &a, first, untouched);
    }
}

/* The bytes that the set's encoder makes, which REF must make too. */
static void check_encoder(check *c, size_t k, bg_rng *rng)
{
    static const float strange[] = {0, 0x1p-149f, 0x1p-101f, 0x1p-99f, 1e30f, 3e38f, INFINITY, NAN};
    bg_format activation = c->kernel->activation;
    size_t bytes = bg_format_row_bytes(bg_format_get(activation), k);
    uint8_t *out = arena_place(&c->x, bg_activation_bytes(activation, k), true);
    uint8_t *expected = arena_place(&c->w, bg_activation_bytes(activation, k), true);
    bg_matmul a = {.k = k, .rows = 1, .cols = 1};
    float *in = (float *)(void *)arena_place(&c->y, k * sizeof(float), true);
    for (size_t i = 0; i < k; i++) {
        in[i] = (float)bg_rng_normal(rng);
        if (c->input == BG_INPUT_EXACT) in[i] = (float)bg_rng_below(rng, 255) * 0.5f;
        if (c->input == BG_INPUT_EXTREME && bg_rng_below(rng, 300) == 0)
            in[i] = strange[bg_rng_below(rng, BG_COUNT(strange))];
        if (c->input == BG_INPUT_SCALES) in[i] *= 0x1p-101f;
    }
    bg_activation_encode(activation, c->kernel->isa, in, out, k);
    bg_activation_encode(activation, BG_ISA_REF, in, expected, k);
    if (memcmp(out, expected, bytes) == 0) {
        c->result->count.passed++;
    } else {
        c->result->count.failed++;
        fail(c, &a, "activations are encoded otherwise than by ref");
    }
}

/* All cases of one kernel. Runs in the child. */
static bool check_cases(const void *user)
{
    check c = *(const check *)user;
    uint32_t size = c.f->block_weights;
    const size_t *blocks = block_counts[size == 1 ? 0 : size == 32 ? 1 : 2];
    bg_rng rng;
    bg_rng_seed(&rng, 20260101u + (uint64_t)c.f->format);
    for (int input = 0; input < BG_INPUT_COUNT; input++) {
        c.input = (bg_input)input;
        for (size_t i = 0; i < BG_COUNT(block_counts[0]); i++) {
            size_t k = blocks[i] * size;
            check_encoder(&c, k, &rng);
            for (size_t j = 0; j < BG_COUNT(row_counts); j++)
                check_inputs(&c, k, row_counts[j], &rng);
        }
        for (size_t j = 0; j < BG_COUNT(many_rows); j++)
            check_inputs(&c, blocks[2] * size, many_rows[j], &rng);
    }
    if (!c.wide) return true;
    c.input = BG_INPUT_RANDOM;
    c.cols = many_cols;
    c.n_cols = BG_COUNT(many_cols);
    c.max_cols = many_cols[c.n_cols - 1];
    check_inputs(&c, blocks[1] * size, row_counts[BG_COUNT(row_counts) - 1], &rng);
    return true;
}

static bool open_buffers(check *c)
{
    size_t cols = c->wide ? many_cols[BG_COUNT(many_cols) - 1] : c->max_cols;
    size_t floats = BG_MAX(cols * (MAX_ROWS + 2), (size_t)LARGEST_K) * sizeof(float);
    c->truth = bg_alloc(cols * MAX_ROWS, sizeof(float));
    c->magnitude = bg_alloc(cols * MAX_ROWS, sizeof(float));
    c->lost = bg_alloc(cols * MAX_ROWS, sizeof(float));
    c->rows = bg_alloc(MAX_ROWS, LARGEST_K * 2);
    c->zeros = bg_alloc(1, LARGEST_K * 2);
    c->row = bg_alloc(LARGEST_K, sizeof(float));
    c->column = bg_alloc(LARGEST_K, sizeof(float));
    c->result = mmap(NULL, sizeof *c->result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                     -1, 0);
    if (c->result == MAP_FAILED) c->result = NULL;
    return c->truth && c->magnitude && c->lost && c->rows && c->zeros && c->row && c->column &&
           c->result && arena_open(&c->w, (MAX_ROWS + BG_PANEL_ROWS) * LARGEST_K * 2) &&
           arena_open(&c->x, cols * LARGEST_K * 2) && arena_open(&c->y, floats);
}

static void close_buffers(check *c)
{
    arena_close(&c->w);
    arena_close(&c->x);
    arena_close(&c->y);
    bg_free(c->truth);
    bg_free(c->magnitude);
    bg_free(c->lost);
    bg_free(c->rows);
    bg_free(c->zeros);
    bg_free(c->row);
    bg_free(c->column);
    if (c->result) munmap(c->result, sizeof *c->result);
}

bg_status bg_kernel_check_one(const bg_kernel *kernel, size_t cols, FILE *out,
                              bg_kernel_check *result, bg_error *err)
{
    static const size_t one = 1;
    check c = {.kernel = kernel, .f = bg_format_get(kernel->format), .cols = &cols, .n_cols = 1,
               .max_cols = cols};
    const char *reason;
    if (cols > MAX_COLS)
        return bg_fail(err, BG_ERR_INPUT, NULL, "%zu columns to check: give at most %d", cols,
                       MAX_COLS);
    if (kernel->op == BG_OP_GEMV) {
        if (cols > 1) return BG_OK;
        c.cols = &one;
        c.max_cols = 1;
    } else if (cols == 0) {
        c.cols = col_counts;
        c.n_cols = BG_COUNT(col_counts);
        c.max_cols = col_counts[c.n_cols - 1];
        c.wide = true;
    }
    if (!open_buffers(&c)) {
        close_buffers(&c);
        return bg_fail_nomem(err, "checking kernels", c.max_cols * LARGEST_K * 2);
    }
    if (!bg_isa_trial(check_cases, &c, &reason)) {
        c.result->count.failed++;
        if (out)
            fprintf(out, "%s %s %s: %s after %zu cases\n", c.f->name, bg_op_name(kernel->op),
                    bg_isa_name(kernel->isa), reason, c.result->count.passed);
    }
    for (size_t i = 0; out && i < c.result->n_messages; i++)
        fprintf(out, "%s\n", c.result->messages[i]);
    result->passed += c.result->count.passed;
    result->failed += c.result->count.failed;
    close_buffers(&c);
    return BG_OK;
}

bg_status bg_kernel_check_all(bg_format format, int isa, size_t cols, FILE *out,
                              bg_kernel_check *result, bg_error *err)
{
    bg_kernel_check sum = {0, 0};
    for (size_t i = 0; bg_kernel_at(i); i++) {
        const bg_kernel *kernel = bg_kernel_at(i);
        if (format != BG_FORMAT_NONE && format != kernel->format) continue;
        if (isa >= 0 && isa != (int)kernel->isa) continue;
        if (!bg_isa_usable(kernel->isa, NULL)) continue;
        BG_TRY(bg_kernel_check_one(kernel, cols, out, &sum, err));
    }
    *result = sum;
    return BG_OK;
}
