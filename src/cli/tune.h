/* tune.h: tuning a quantized model, for the commands that write one. Internal. */
#ifndef BG_CLI_TUNE_H
#define BG_CLI_TUNE_H

#include "bitgauge/tune.h"
#include "cli/cli.h"

typedef struct bg_cli_tune_request {
    double minutes, rate, scale_rate;   /* rates of 0: the tuner's own */
    double own;                         /* share of text that the model writes meanwhile; below 0:
                                         * as usual */
    int steps, windows, ctx, seed;      /* steps: instead of minutes */
} bg_cli_tune_request;

#define BG_CLI_TUNE_DEFAULTS {.own = -1}

static inline bool bg_cli_tune_wanted(const bg_cli_tune_request *r)
{
    return r->minutes > 0 || r->steps > 0;
}

/* BG_ERR_INPUT: it says how to tune, but not for how long. */
bg_status bg_cli_tune_check(const bg_cli_tune_request *r, bg_error *err);

/* Tunes the image, made of the model, on a text. What came of it is told on standard error. */
bg_status bg_cli_tune(const bg_cli_tune_request *r, const bg_model *m, const int32_t *tokens,
                      size_t n_tokens, bg_image *image, bg_team *team, bg_error *err);

/* The lines of an option table. */
#define BG_CLI_TUNE_OPTIONS(request)                                                              \
    {.type = BG_OPT_REAL, .names = "--tune", .metavar = "MINUTES", .target = &(request).minutes,  \
     .min = 0, .max = 1e5,                                                                        \
     .help = "then minimise the whole model's error by gradient for so long"},                    \
    {.type = BG_OPT_INT, .names = "--tune-steps", .metavar = "N", .target = &(request).steps,     \
     .min = 0, .max = 1 << 28, .help = "so many steps instead of minutes: repeatable"},           \
    {.type = BG_OPT_INT, .names = "--tune-windows", .metavar = "N",                               \
     .target = &(request).windows, .min = 1, .max = 4096, .help = "windows of a step (1)"},       \
    {.type = BG_OPT_REAL, .names = "--tune-own", .metavar = "X", .target = &(request).own,        \
     .min = 0, .max = 1,                                                                          \
     .help = "after one pass over the text: share that the model writes (0.9)"},                  \
    {.type = BG_OPT_INT, .names = "--tune-ctx", .metavar = "N", .target = &(request).ctx,         \
     .min = 8, .max = 1 << 16, .help = "tokens of a window (512)"},                               \
    {.type = BG_OPT_REAL, .names = "--tune-rate", .metavar = "X", .target = &(request).rate,      \
     .min = 0, .max = 1, .help = "most that a weight moves a step, in levels (0.005)"},           \
    {.type = BG_OPT_REAL, .names = "--tune-scale-rate", .metavar = "X",                           \
     .target = &(request).scale_rate, .min = 0, .max = 1,                                         \
     .help = "most that scales move the ends of their grids, in levels (0.003)"}

#endif
