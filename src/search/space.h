/* space.h: what a search of formats chooses from. Internal to the search room. */
#ifndef BG_SEARCH_SPACE_H
#define BG_SEARCH_SPACE_H

#include "base/base.h"
#include "search/prune.h"
#include "search/speed.h"

enum { BG_MAX_CHOICES = 24 };
/* Bytes of a choice that what is left of the tensor does not fit. */
#define BG_NEVER ((uint64_t)1 << 48)

/* A tensor with its formats, smallest first. A format is left out when another takes no more bytes,
 * distorts the tensor less and is no slower. */
typedef struct bg_item {
    size_t tensor, n;
    bg_format format[BG_MAX_CHOICES];
    uint64_t whole[BG_MAX_CHOICES];  /* bytes at level 0 */
    uint64_t bytes[BG_MAX_CHOICES];  /* in a file of these levels, padded; or BG_NEVER */
    double left;                     /* of the tensor at these levels, 0 to 1 */
    double seconds[BG_MAX_CHOICES];  /* of a token, at level 0; 0 where speed does not count */
    double error[BG_MAX_CHOICES];    /* squares by importance, of the weights' own */
    double alone[BG_MAX_CHOICES];    /* divergence with the tensor alone in it, nats */
    double moved[BG_MAX_CHOICES];    /* what the next larger one was seen to change among others, */
    double seen[BG_MAX_CHOICES];     /* so many times, of which old ones count less */
    double cost[BG_MAX_CHOICES];     /* what the search expects of it where it is, nats */
    double doubt[BG_MAX_CHOICES];    /* of the step to the next larger one: variance */
    double mean[BG_MAX_CHOICES];     /* scratch: costs, while others are drawn */
} bg_item;

/* The finest that is not the source's own. */
static inline uint8_t bg_item_finest(const bg_item *it)
{
    size_t c = it->n - 1;
    return (uint8_t)(c > 0 && it->error[c] <= 0 ? c - 1 : c);
}

typedef struct bg_space {
    const bg_model *model;
    const bg_pruner *pruner; /* NULL: all levels are 0 */
    const bg_importance *importance;
    size_t n_tensors, n;
    bg_item *items;
    uint8_t *levels;         /* of each layer (prune.h) */
    uint32_t n_layer;
    uint64_t fixed;          /* bytes of the file without the items */
    double fixed_seconds;    /* of a token in what has no choice */
    double most_seconds;     /* that a token may take; 0: any */
    const uint8_t *near;     /* picks from which each change costs so much more; NULL: none */
    double change;
} bg_space;

/* speeds: of o->min_tps, or NULL where that is 0. */
bg_status bg_space_open(bg_space *s, const bg_model *m, const bg_pruner *pruner,
                        const bg_search_options *o, const bg_speeds *speeds, bg_error *err);
/* From now on the layers are at these levels. */
bg_status bg_space_shape(bg_space *s, const uint8_t *levels, bg_error *err);
void bg_space_close(bg_space *s);
/* Of all items together. */
size_t bg_space_choices(const bg_space *s);
uint64_t bg_space_bytes(const bg_space *s, const uint8_t *picks);
double bg_space_seconds(const bg_space *s, const uint8_t *picks);
/* The same with other formats where these do not fit what is left: the next larger,
 * else smaller. */
void bg_space_mend(const bg_space *s, const uint8_t *from, uint8_t *picks);
/* Small and fast enough. */
bool bg_space_allows(const bg_space *s, const uint8_t *picks, uint64_t file_bytes);
/* Weights that are left, as a share of all; of tensors that have a choice. */
double bg_space_share_left(const bg_space *s);
/* formats of all tensors; those without a choice: NONE. */
void bg_space_formats(const bg_space *s, const uint8_t *picks, bg_format *formats);
/* The least sum of costs within the bytes and the seconds; with the latter, nearly the least.
 * BG_ERR_INFEASIBLE: nothing is so small, or so fast. */
bg_status bg_space_solve(const bg_space *s, uint64_t file_bytes, uint8_t *picks, bg_error *err);

#endif
