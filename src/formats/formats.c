/* formats.c: the registry of block formats, and rows. */
#include "base/team.h"
#include "formats/coder.h"

#include <math.h>
#include <stdatomic.h>
#include <strings.h>

static const bg_format_info formats[] = {
#define BG_FORMAT(NAME, prefix, id, weights, bytes, activation, level)                           \
    {BG_FORMAT_##NAME, #NAME, weights, bytes, BG_FORMAT_##activation, level,                     \
     bg_##prefix##_decode, bg_##prefix##_encode},
#include "bitgauge/formats.def"
};

const bg_format_info *bg_format_at(size_t i)
{
    return i < BG_COUNT(formats) ? &formats[i] : NULL;
}

const bg_format_info *bg_format_get(int id)
{
    for (size_t i = 0; i < BG_COUNT(formats); i++)
        if ((int)formats[i].format == id) return &formats[i];
    return NULL;
}

const bg_format_info *bg_format_find(const char *name)
{
    for (size_t i = 0; i < BG_COUNT(formats); i++)
        if (!strcasecmp(formats[i].name, name)) return &formats[i];
    return NULL;
}

size_t bg_format_row_bytes(const bg_format_info *f, size_t n)
{
    size_t bytes;
    if (n % f->block_weights) return 0;
    return __builtin_mul_overflow(n / f->block_weights, (size_t)f->block_bytes, &bytes) ? 0 : bytes;
}

double bg_format_bpw(const bg_format_info *f) { return 8.0 * f->block_bytes / f->block_weights; }

void bg_format_decode(const bg_format_info *f, const void *blocks, float *out, size_t n)
{
    f->decode(blocks, out, n);
}

void bg_format_encode(const bg_format_info *f, const float *in, const float *importance,
                      void *blocks, size_t n)
{
    f->encode(in, importance, blocks, n);
}

void bg_format_moments(const float *w, const float *mean, const float *variance, size_t n, float *m,
                       float *v)
{
    bg_coder_now()->row_moments(w, mean, variance, n, m, v);
}

/* ---- rows in parallel -------------------------------------------------------------------- */

typedef struct quantize_job {
    const bg_format_info *from, *to;
    const uint8_t *src;
    uint8_t *dst;
    const float *importance;
    float *scratch;         /* a row of floats for each member */
    size_t rows, n, src_row, dst_row;
    _Atomic size_t next;    /* row to take; rows differ in cost, so they are not dealt out */
    _Atomic size_t bad_row; /* lowest row with a value that is not finite, SIZE_MAX: none */
} quantize_job;

/* Without a way out of the loop, which then goes by vectors: rows are finite, as a rule. */
static bool row_is_finite(const float *x, size_t n)
{
    uint32_t bits, endless = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(&bits, x + i, sizeof bits);
        endless |= (bits & 0x7f800000) == 0x7f800000;
    }
    return !endless;
}

static void quantize_some(void *user, int member, int size)
{
    quantize_job *job = user;
    float *row = job->scratch + (size_t)member * job->n;
    (void)size;
    for (;;) {
        size_t r = atomic_fetch_add(&job->next, 1), bad = atomic_load(&job->bad_row);
        if (r >= job->rows || bad < r) return;
        job->from->decode(job->src + r * job->src_row, row, job->n);
        if (row_is_finite(row, job->n)) {
            job->to->encode(row, job->importance, job->dst + r * job->dst_row, job->n);
            continue;
        }
        while (r < bad && !atomic_compare_exchange_weak(&job->bad_row, &bad, r)) {}
    }
}

static bg_status fail_not_finite(const quantize_job *job, bg_error *err)
{
    size_t row = job->bad_row, column = 0;
    job->from->decode(job->src + row * job->src_row, job->scratch, job->n);
    while (column + 1 < job->n && isfinite(job->scratch[column])) column++;
    return bg_fail(err, BG_ERR_INPUT, NULL,
                   "the weight in row %zu, column %zu is %s; a model with such weights is broken: "
                   "get a good copy of it", row, column,
                   isnan(job->scratch[column]) ? "not a number" : "infinite");
}

bg_status bg_quantize_rows(const bg_format_info *from, const void *src, const bg_format_info *to,
                           void *dst, const float *importance, size_t rows, size_t n,
                           struct bg_team *team, bg_error *err)
{
    quantize_job job = {.from = from, .to = to, .src = src, .dst = dst, .importance = importance,
                        .rows = rows, .n = n, .src_row = bg_format_row_bytes(from, n),
                        .dst_row = bg_format_row_bytes(to, n), .bad_row = SIZE_MAX};
    size_t floats;
    bg_status status = BG_OK;
    if (!rows || !n) return BG_OK;
    if (!job.src_row || !job.dst_row)
        return bg_fail(err, BG_ERR_INPUT, NULL,
                       "rows of %zu weights are no whole number of %s blocks of %u; choose a "
                       "format with smaller blocks", n, job.src_row ? to->name : from->name,
                       (job.src_row ? to : from)->block_weights);
    if (from == to) {
        memcpy(dst, src, rows * job.src_row);
        return BG_OK;
    }
    if (__builtin_mul_overflow((size_t)bg_team_size(team), n, &floats)
        || !(job.scratch = bg_alloc(floats, sizeof(float))))
        return bg_fail_nomem(err, "rows to quantize", n * sizeof(float));
    bg_team_run(team, quantize_some, &job);
    if (job.bad_row != SIZE_MAX) status = fail_not_finite(&job, err);
    bg_free(job.scratch);
    return status;
}
