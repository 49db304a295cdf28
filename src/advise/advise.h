/* advise.h: how the advise room passes its work along: join, judge, explain, render. Internal. */
#ifndef BG_ADVISE_INTERNAL_H
#define BG_ADVISE_INTERNAL_H

#include "base/base.h"
#include "bitgauge/advise.h"

#define BG_UNQUANTIZED_BPW 15.5 /* F16 and BF16 */
#define BG_HEAVY_LOSS 0.1       /* nats: readers notice */

/* Constraints are lines of bg_limits in judge.c. */
enum { BG_LIMIT_MEMORY, BG_LIMIT_TPS, BG_LIMIT_KLD, BG_LIMIT_PPL, BG_LIMIT_COUNT };

/* A question: bg_advise_options with every default filled in. */
typedef struct query {
    double limit[BG_LIMIT_COUNT];   /* NaN: none */
    bool implied[BG_LIMIT_COUNT];   /* a default, not asked for */
    double ctx;
    bg_objective objective;
} query;

typedef struct limit_info {
    const char *option;
    bool upper;                     /* the value must not exceed the limit, else not fall below */
    double (*value)(const bg_candidate *c, const query *q);
    void (*print)(char *buffer, size_t n, double value);  /* for people: "6.1 MB" */
    const char *verb;               /* "needs" */
    const char *excess;             /* heading of those removed: "over the memory of" */
    const char *unknown;            /* what to say when there is no value */
} limit_info;
extern const limit_info bg_limits[BG_LIMIT_COUNT];

typedef struct change { char option[64]; size_t candidate; } change;
typedef struct runner_up { size_t candidate; char *why; } runner_up;

struct bg_advice {
    const bg_results *results;
    bg_candidate *c;                /* sorted by weight bytes */
    char (*names)[96];              /* of the candidates, where there are several engines */
    size_t n;
    bg_loss_basis basis;
    query query;
    bool feasible;
    size_t pick;
    char **removed;                 /* owns the candidates' removed_by; NULL entries */
    char **reasons;
    size_t n_reasons;
    runner_up *runners;
    size_t n_runners;
    change *changes;
    size_t n_changes;
    char (*change_text)[96];
    char *no_energy;                /* why there is none, or NULL */
    bg_published *tables;           /* for a shape, else NULL */
    const bg_published_row *published; /* whose quality the candidates show, or NULL */
};

/* The answer to a query. */
typedef struct verdict {
    bool *kept, *front;             /* by candidate */
    size_t *order;                  /* kept candidates, best first */
    size_t n;
} verdict;

/* engine: of bg_advise_options. */
bg_status bg_advise_join(bg_advice *a, const char *engine, bg_error *err);
/* Fills in published quality where the results are those of a shape. */
bg_status bg_advise_publish(bg_advice *a, bg_error *err);
/* What machine.json says: bytes available (NaN unknown), why energy is not read (NULL unknown). */
double bg_advise_available(const bg_results *r);
char *bg_advise_energy_reason(const bg_results *r);

bg_status bg_verdict_init(verdict *v, const bg_advice *a, bg_error *err);
void bg_verdict_fini(verdict *v);
void bg_advise_judge(const bg_advice *a, const query *q, verdict *v);
/* 1: a is measurably faster, -1: slower, 0: each median lies within the other's interval. */
int bg_advise_compare_speed(const bg_candidate *a, const bg_candidate *b);
bool bg_advise_speeds_overlap(const bg_candidate *a, const bg_candidate *b);
double bg_advise_score(const bg_candidate *c);
/* The objective needs a value the candidate lacks: what, in words; NULL when it has it. */
const char *bg_advise_lacks(const bg_advice *a, const bg_candidate *c, bg_objective o);
/* Why nothing of it was measured, as its rows tell; NULL: something was, or they do not. */
const char *bg_advise_failure(const bg_candidate *c);
bool bg_limit_holds(size_t limit, const bg_candidate *c, const query *q);
/* The candidate that asks for the least relaxing of q. */
size_t bg_advise_nearest(const bg_advice *a, const query *q);
double bg_advise_memory(const bg_candidate *c, double ctx);

bg_status bg_advise_explain(bg_advice *a, const verdict *v, bg_error *err);
bg_status bg_advise_find_changes(bg_advice *a, verdict *scratch, bg_error *err);
/* "--memory 6.1MB", the shortest number that still lets `value` through. */
void bg_limit_option(char *buffer, size_t n, size_t limit, double value, int digits);
double bg_limit_round(size_t limit, double value, int digits);

/* "213", "18.4", "0.0062": three digits. */
const char *bg_advise_number(char *buffer, size_t n, double value);

#endif
