/* advise_options.h: the options that recommend and report share. Internal to the program. */
#ifndef BG_CLI_ADVISE_OPTIONS_H
#define BG_CLI_ADVISE_OPTIONS_H

#include "bitgauge/advise.h"
#include "cli/cli.h"

typedef struct bg_cli_advise {
    bg_advise_options options;
    int ctx;
    const char *objective;
} bg_cli_advise;

/* Lines for an option table. */
#define BG_CLI_ADVISE_OPTIONS(a)                                                                   \
    {BG_OPT_GROUP, NULL, NULL, "Constraints", NULL, NULL, 0, 0},                                   \
    {BG_OPT_SIZE, "--memory", "SIZE", "weights, KV cache and activations must fit; default: what " \
     "the machine had free", &(a).options.memory, NULL, 0, 0},                                     \
    {BG_OPT_INT, "-c --ctx", "N", "tokens of context whose KV cache counts", &(a).ctx, NULL, 1,    \
     1 << 30},                                                                                     \
    {BG_OPT_REAL, "--min-tps", "X", "least decode speed, tokens/s", &(a).options.min_tps, NULL, 0, \
     1e12},                                                                                        \
    {BG_OPT_REAL, "--max-kld", "X", "largest mean KL divergence, nats (default 1)",                \
     &(a).options.max_kld, NULL, 1e-9, 1e6}, /* 0 means none to bg_advise */                       \
    {BG_OPT_REAL, "--max-ppl-loss", "%", "largest loss of perplexity in percent",                  \
     &(a).options.max_ppl_loss_pct, NULL, 1e-9, 1e6},                                              \
    {BG_OPT_TEXT, "--engine", "NAME", "only what this engine ran: builtin or llama.cpp (default: " \
     "any)", &(a).options.engine, NULL, 0, 0},                                                     \
    {BG_OPT_TEXT, "--objective", "NAME", "what to look for; balanced is the knee of quality "      \
     "against decode speed", &(a).objective, "balanced|speed|quality|size|energy", 0, 0}

/* Turns what was parsed into options. */
void bg_cli_advise_finish(bg_cli_advise *a);
/* Opens a results folder; NULL is results/latest. Says which command makes one. */
struct bg_results;
bg_status bg_cli_results(const char *dir, struct bg_results **r, bg_error *err);
/* The results of a shape's sweep: the newest in results/, or those in dir, if they are. */
bg_status bg_cli_shape_results(const char *dir, const char *shape, struct bg_results **r,
                               bg_error *err);
/* The schemes that are left, with their speeds, in a few lines. */
void bg_cli_shape_answer(const bg_advice *a);

#endif
