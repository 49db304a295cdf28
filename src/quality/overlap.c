/* How much of one text stands in another: by runs of tokens that both have. */
#include "base/base.h"
#include "bitgauge/quality.h"

#include <stdlib.h>

enum { RUN = 32, MOST = 1 << 22 };       /* MOST: tokens of a text that are looked at */
#define WORTH_SAYING 0.05
#define FACTOR 0x9e3779b97f4a7c15ULL

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Of the runs that begin at each token; n of these are whole. */
static void hash_runs(const int32_t *tokens, size_t n, uint64_t *hashes)
{
    uint64_t h = 0, first = 1;
    for (size_t i = 0; i < RUN; i++) {
        h = h * FACTOR + (uint32_t)tokens[i];
        first *= FACTOR;
    }
    hashes[0] = h;
    for (size_t i = 1; i < n; i++) {
        h = h * FACTOR + (uint32_t)tokens[i + RUN - 1] - first * (uint32_t)tokens[i - 1];
        hashes[i] = h;
    }
}

void bg_tokens_warn_overlap(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    double share = bg_tokens_overlap(a, n_a, b, n_b);
    if (share >= WORTH_SAYING)
        bg_log(BG_LOG_WARN, "%.0f %% of the text that is measured on stands in the calibration "
               "text, too: what was calibrated looks better than it is; give another text",
               100 * share);
}

double bg_tokens_overlap(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    size_t n = n_a >= RUN ? BG_MIN(n_a, (size_t)MOST) - RUN + 1 : 0;
    size_t runs = BG_MIN(n_b, (size_t)MOST) / RUN, found = 0;
    uint64_t *hashes = n && runs ? bg_alloc(n, sizeof *hashes) : NULL, h;
    if (!hashes) return 0;
    hash_runs(a, n, hashes);
    qsort(hashes, n, sizeof *hashes, compare);
    for (size_t i = 0; i < runs; i++) {
        hash_runs(b + i * RUN, 1, &h);
        found += bsearch(&h, hashes, n, sizeof h, compare) != NULL;
    }
    bg_free(hashes);
    return (double)found / (double)runs;
}
