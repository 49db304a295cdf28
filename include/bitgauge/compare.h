/* bitgauge/compare.h: did anything get slower? Two results folders, judged cell by cell.
 *
 * A measured cell is better or worse when all of these hold: the rank test is significant after
 * correction for the number of cells, the change is beyond the threshold, and beyond the noise
 * floor, which is how far identical work differs on the machine. It is the same when the whole
 * interval of the ratio lies within the threshold and the noise floor does too. Else it is
 * inconclusive, and says why. What does not vary (bytes, quality, simulated counts) is compared as
 * it is.
 *
 * Most of what disturbs a sweep disturbs all of its cells alike, because they are interleaved. So a
 * change is split in two: what the cells did together, judged as above by the noise floor of the
 * machine, and the own part of each cell, which is what it did beside the others, under a far lower
 * noise floor of its own. A cell that cannot be judged as it is, is judged by its own part.
 */
#ifndef BITGAUGE_COMPARE_H
#define BITGAUGE_COMPARE_H

#include "bitgauge/results.h"
#include "bitgauge/stats.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bg_verdict {
    BG_VERDICT_BETTER, BG_VERDICT_WORSE, BG_VERDICT_SAME, BG_VERDICT_INCONCLUSIVE, BG_VERDICTS
} bg_verdict;

typedef enum bg_floor_source {
    BG_FLOOR_NONE,            /* exact values, or nothing to estimate it from */
    BG_FLOOR_MACHINE,         /* noise_floors of machine.json */
    BG_FLOOR_SAMPLES,          /* estimated: how far neighbouring quarters of the samples differ */
} bg_floor_source;

/* What a cell did beside the others of its metric, kind of test ("pp", "tg") and threads. A
 * repetition is divided by how far those measured around it, of other cells, are from their
 * medians, and the ratio by the median ratio of the other cells. */
typedef struct bg_own {
    size_t others;                   /* 0: there is no own part, and no more than NaN in the rest */
    bg_ratio ratio;                  /* relative to the others */
    double p, q;
    double floor, spread;            /* spread: the floor that comes from how the others scatter */
    bg_floor_source floor_source;
    bg_verdict verdict;
} bg_own;

/* One cell and metric that both folders have. Names are the folders'. */
typedef struct bg_compared {
    const bg_row *base_row, *new_row;
    bg_column metric;
    bool exact;                      /* compared without statistics; p, q and the interval are
                                      * NaN */
    size_t n[2], outliers[2], tainted[2];   /* samples of base and new; all of them are used */
    double value[2];                 /* medians, or the values themselves */
    bg_ratio ratio;                  /* new / base; of shares of the roof across machines */
    double p, q;                     /* q: p after correction for many cells */
    double floor;                    /* relative; NaN when unknown */
    bg_floor_source floor_source;
    bg_own own;
    bool by_own;                     /* the verdict is that of the own part */
    bool confirmed;                  /* the new side was measured again */
    bg_verdict verdict;
    char reason[200];                /* of an inconclusive verdict, else "" */
} bg_compared;

/* What cells did together: the median of their ratios. Repetitions are rounds, each the median of
 * its cells relative to what they are in the middle; the floor is the highest of theirs. */
typedef struct bg_together {
    size_t cells;
    bg_compared all;                 /* the rows are those of one of the cells; value is relative */
} bg_together;

/* A cell without a partner. */
typedef struct bg_unpaired {
    const bg_row *row;
    int side;                        /* 0: only base measured it; 1: only new did */
    bool failed;                     /* the other tried and failed */
} bg_unpaired;

typedef struct bg_comparison {
    bg_compared *cells;
    bg_unpaired *unpaired;
    bg_together *together;           /* for each metric, kind of test and number of threads
                                        that has four cells or more */
    size_t n_together;
    size_t n_cells, n_unpaired, counts[BG_VERDICTS];
    double threshold, alpha;
    bool cross_machine;
    const char *dir[2];
    char notes[4][256];              /* what a reader must know: "" after the last */
} bg_comparison;

typedef struct bg_compare_options {
    double threshold;                /* relative; 0: 0.05 */
    double alpha;                    /* 0: BG_STATS_ALPHA */
    const char *metrics;             /* columns of results.csv with commas; NULL: tps,
                                        sim_instructions, which few folders have */
    bool cross_machine;              /* other machines and engines too, by shares of the roof */
    /* Cells measured again: where this has one, it stands for that of the new folder. Stays open as
     * long as the comparison. NULL: none. */
    const bg_results *confirmed;
    uint64_t seed;
    uint32_t resamples;              /* of the bootstrap; 0: 2000 */
} bg_compare_options;

/* Both results stay open as long as the comparison. BG_ERR_INPUT: a metric that cannot be compared,
 * folders of different models, or of different machines or engines without cross_machine, or that
 * have no cell in common. */
bg_status bg_compare(bg_comparison **c, const bg_results *base, const bg_results *new_results,
                     const bg_compare_options *o, bg_error *err);
void bg_comparison_close(bg_comparison **c);

/* "faster", "slower", "same", "inconclusive"; "better" and "worse" where it is not about time. */
const char *bg_compared_verdict(const bg_compared *c);
/* A cell that got worse, or all together, or one that base measured and new failed on. */
bool bg_comparison_regressed(const bg_comparison *c);

typedef enum bg_compare_format {
    BG_COMPARE_MD, BG_COMPARE_JSON, BG_COMPARE_JUNIT,
    BG_COMPARE_ANNOTATIONS,          /* workflow commands of GitHub Actions: ::error::,
                                      * ::warning:: */
} bg_compare_format;
/* Ends with a newline; free with bg_free_text. */
bg_status bg_comparison_text(const bg_comparison *c, bg_compare_format format, char **text,
                             bg_error *err);

#ifdef __cplusplus
}
#endif
#endif
