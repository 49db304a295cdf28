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

/* What leads back from a partial sum to its first item; the sums themselves are only needed by the
 * item that follows. */
typedef struct step { uint32_t parent; uint16_t choice; } step;

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
        if (i == 0 || i + 1 == kept || p[i].bytes / range != p[i + 1].bytes / range)
            p[out++] = p[i];
    return out;
}

static bg_status extend(front *to, step **steps, const front *from, const bg_choice *choices,
                        size_t count, uint64_t budget, size_t most, bg_error *err)
{
    size_t n = 0;
    partial *all = bg_grow(to->at, from->n * count, sizeof *all);
    if (!all) return bg_fail_nomem(err, "an allocation", from->n * count * sizeof *all);
    to->at = all;
    for (size_t i = 0; i < from->n; i++)
        for (size_t c = 0; c < count; c++) {
            uint64_t bytes = from->at[i].bytes + choices[c].bytes;
            if (bytes > budget) continue; /* `budget` leaves room for what must follow */
            all[n++] = (partial){bytes, from->at[i].cost + choices[c].cost, (uint32_t)i,
                                 (uint16_t)c};
        }
    to->n = thin(all, n, most, budget);
    *steps = bg_alloc(to->n, sizeof **steps);
    if (!*steps) return bg_fail_nomem(err, "an allocation", to->n * sizeof **steps);
    for (size_t i = 0; i < to->n; i++) (*steps)[i] = (step){all[i].parent, all[i].choice};
    return BG_OK;
}

static size_t smallest(const bg_choice *choices, size_t count)
{
    size_t best = 0;
    for (size_t c = 1; c < count; c++)
        if (choices[c].bytes < choices[best].bytes) best = c;
    return best;
}

bg_status bg_allocate(const bg_choice *const *items, const size_t *counts, size_t n,
                      uint64_t budget, size_t most, size_t *picks, bool *feasible, bg_error *err)
{
    step **steps = bg_alloc(n, sizeof *steps);
    front fronts[2] = {{bg_alloc(1, sizeof(partial)), 1}, {NULL, 0}};
    uint64_t least = 0;
    size_t best;
    bg_status s = steps && fronts[0].at
                      ? BG_OK : bg_fail_nomem(err, "an allocation", n * sizeof *steps);
    for (size_t i = 0; i < n; i++) {
        picks[i] = smallest(items[i], counts[i]);
        least += items[i][picks[i]].bytes;
    }
    *feasible = least <= budget;
    for (size_t i = 0; s == BG_OK && *feasible && i < n; i++) {
        least -= items[i][smallest(items[i], counts[i])].bytes;
        s = extend(&fronts[(i + 1) % 2], &steps[i], &fronts[i % 2], items[i], counts[i],
                   budget - least, most ? most : 4096, err);
    }
    best = fronts[n % 2].n - 1; /* the largest costs least */
    for (size_t i = n; s == BG_OK && *feasible && i-- > 0;) {
        picks[i] = steps[i][best].choice;
        best = steps[i][best].parent;
    }
    for (size_t i = 0; steps && i < n; i++) bg_free(steps[i]);
    bg_free(steps);
    bg_free(fronts[0].at);
    bg_free(fronts[1].at);
    return s;
}
