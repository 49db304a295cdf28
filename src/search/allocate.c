#include "search/allocate.h"

#include <stdlib.h>
#include <string.h>

/* The sum of one choice for each item so far. */
typedef struct partial {
    uint64_t bytes;
    double cost;
    uint32_t parent;         /* among those of the item before */
    uint16_t choice;
} partial;

typedef struct front { partial *at; size_t n; } front;

static int by_bytes(const void *a, const void *b)
{
    const partial *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    if (x->cost != y->cost) return x->cost < y->cost ? -1 : 1;
    if (x->parent != y->parent) return x->parent < y->parent ? -1 : 1;
    return x->choice < y->choice ? -1 : x->choice > y->choice;
}

/* Leaves those that nothing smaller beats; then, if they are too many, the best of each range of
 * bytes. */
static size_t thin(partial *p, size_t n, size_t most, uint64_t budget)
{
    size_t kept = 0, out = 0;
    uint64_t range = budget / most + 1;
    qsort(p, n, sizeof *p, by_bytes);
    for (size_t i = 0; i < n; i++)
        if (!kept || p[i].cost < p[kept - 1].cost) p[kept++] = p[i];
    if (kept <= most) return kept;
    /* Costs fall as bytes grow: the last of a range is its best. The smallest stays, too. */
    for (size_t i = 0; i < kept; i++)
        if (i == 0 || i + 1 == kept || p[i].bytes / range != p[i + 1].bytes / range) p[out++] = p[i];
    return out;
}

static bg_status extend(front *to, const front *from, const bg_choice *choices, size_t count,
                        uint64_t budget, size_t most, bg_error *err)
{
    size_t n = 0;
    to->at = bg_grow(NULL, from->n * count, sizeof *to->at);
    if (!to->at) return bg_fail_nomem(err, "an allocation", from->n * count * sizeof *to->at);
    for (size_t i = 0; i < from->n; i++)
        for (size_t c = 0; c < count; c++) {
            uint64_t bytes = from->at[i].bytes + choices[c].bytes;
            if (bytes > budget) continue; /* `budget` leaves room for what must follow */
            to->at[n++] = (partial){bytes, from->at[i].cost + choices[c].cost, (uint32_t)i,
                                    (uint16_t)c};
        }
    to->n = thin(to->at, n, most, budget);
    return BG_OK;
}

static size_t smallest(const bg_choice *choices, size_t count)
{
    size_t best = 0;
    for (size_t c = 1; c < count; c++)
        if (choices[c].bytes < choices[best].bytes) best = c;
    return best;
}

bg_status bg_allocate(const bg_choice *const *items, const size_t *counts, size_t n, uint64_t budget,
                      size_t most, size_t *picks, bool *feasible, bg_error *err)
{
    front *fronts = bg_alloc(n + 1, sizeof *fronts);
    partial nothing = {0};
    uint64_t least = 0;
    size_t best = 0;
    bg_status s = fronts ? BG_OK : bg_fail_nomem(err, "an allocation", (n + 1) * sizeof *fronts);
    for (size_t i = 0; i < n; i++) {
        picks[i] = smallest(items[i], counts[i]);
        least += items[i][picks[i]].bytes;
    }
    *feasible = least <= budget;
    if (s != BG_OK || !*feasible) {
        bg_free(fronts);
        return s;
    }
    fronts[0] = (front){&nothing, 1};
    for (size_t i = 0; s == BG_OK && i < n; i++) {
        least -= items[i][smallest(items[i], counts[i])].bytes;
        s = extend(&fronts[i + 1], &fronts[i], items[i], counts[i], budget - least,
                   most ? most : 4096, err);
    }
    if (s == BG_OK) best = fronts[n].n - 1; /* the largest costs least */
    for (size_t i = n; s == BG_OK && i-- > 0;) {
        picks[i] = fronts[i + 1].at[best].choice;
        best = fronts[i + 1].at[best].parent;
    }
    for (size_t i = 1; i <= n; i++) bg_free(fronts[i].at);
    bg_free(fronts);
    return s;
}
