/* bitgauge/noise.h: how far identical work differs on this machine, and what disturbs it.
 *
 * Verdicts of compare.h ask for more than the floor. A floor is an estimate: of identical work that
 * is measured twice, one comparison in a hundred differs by more.
 */
#ifndef BITGAUGE_NOISE_H
#define BITGAUGE_NOISE_H

#include "bitgauge/counters.h"
#include "bitgauge/machine.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bg_calibration {
    double seconds;              /* to measure for; 0: 60. Loading comes on top */
    int threads;                 /* besides 1; 0: the default */
    /* Hears thousandths of the time; returns false to stop (BG_ERR_INTERRUPTED). May be NULL. */
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
} bg_calibration;

/* Repeats, interleaved at random, tests of the embedded model in Q4_K_M ("pp", "tg": 64 tokens of a
 * prompt, 16 of generation), and where the roofs were measured reading from memory ("read") and
 * arithmetic ("arithmetic"), each at 1 thread and at all; sets the machine's floors of these kinds,
 * and of what a cell does beside others ("pp/own", "tg/own"): the model is there six times, and its
 * copies differ by where they lie. One that is too slow to be repeated 16 times in four times as
 * long has none, and a warning says so. What was set stays when this fails. */
bg_status bg_noise_calibrate(bg_machine *m, const bg_calibration *c, bg_error *err);

/* The floor from repetitions in the order taken, of any unit. A stretch of a twelfth of them (of
 * at least 4) is one measurement of identical work: its median, of 16 in it at most, as few as a
 * sweep takes. Of all pairs of stretches that do not overlap, 60 beginning at even distances, the
 * floor is the largest difference: the pairs depend on each other, and the 99 % quantile of so few
 * independent ones would be too small. NaN for under 16 values. Values are positive. */
double bg_noise_estimate(const double *values, size_t n, uint32_t *pairs);

/* The floor of own parts from medians of identical work, measured in turn, so that what disturbs
 * them is common: 99 % of differences of two are smaller, if their logarithms are normal. NaN for
 * n < 2. */
double bg_noise_between(const double *medians, size_t n);

/* JSON array of what disturbs a repetition and whether that can be seen here, for bg_machine_json.
 * NULL: no memory. Free with bg_free_text. */
struct bg_team;
char *bg_disturbances_json(const bg_machine *m, struct bg_team *team, const bg_counters *c);

#ifdef __cplusplus
}
#endif
#endif
