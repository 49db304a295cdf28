/* allocate.h: one choice for each item so that the cost is least and the bytes stay within a budget
 * (the multiple-choice knapsack). Internal to the search room. */
#ifndef BG_SEARCH_ALLOCATE_H
#define BG_SEARCH_ALLOCATE_H

#include "base/base.h"

typedef struct bg_choice { uint64_t bytes; double cost; } bg_choice;

/* items[i] has counts[i] choices; picks[i] becomes the index of one. By dynamic programming over
 * the best partial sums, so exact as long as there are no more than `most` of them (0: 4096) at a
 * time; past that, sums closer in bytes than budget / most count as one. *feasible: false when even
 * the smallest choices exceed the budget (picks then are those). Deterministic. */
bg_status bg_allocate(const bg_choice *const *items, const size_t *counts, size_t n,
                      uint64_t budget, size_t most, size_t *picks, bool *feasible, bg_error *err);

#endif
