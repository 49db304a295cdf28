/* noise.h: recorded noise of a machine, and sweeps that might have been taken under it. */
#ifndef BG_TEST_NOISE_H
#define BG_TEST_NOISE_H

#include "test.h"

#include "base/base.h"
#include "bitgauge/compare.h"

#include <stdlib.h>

enum { NOISE_MOST = 1200, NOISE_SERIES = 16 };

typedef struct noise {
    char names[NOISE_SERIES][32];            /* "Q4_K_M-pp256-1": scheme, test, threads */
    double ms[NOISE_SERIES][NOISE_MOST];
    size_t n_series, n;
} noise;

static inline void noise_read(noise *x, const char *name)
{
    char path[512], line[1024];
    FILE *f;
    snprintf(path, sizeof path, "%s/noise/%s.csv", BG_FIXTURES, name);
    f = fopen(path, "r");
    assert_non_null(f);
    memset(x, 0, sizeof *x);
    while (fgets(line, sizeof line, f)) {
        char *rest = line, *word;
        size_t s = 0;
        if (*line == '#') continue;
        line[strcspn(line, "\n")] = 0;
        while ((word = strsep(&rest, ","))) {
            assert_true(s < NOISE_SERIES && x->n < NOISE_MOST);
            if (x->n_series && s < x->n_series) x->ms[s][x->n] = atof(word);
            else snprintf(x->names[s], sizeof x->names[s], "%s", word);
            s++;
        }
        if (x->n_series) x->n++;
        x->n_series = s;
    }
    fclose(f);
    assert_true(x->n >= 100);
}

/* Rounds of an interleaved sweep: rows of the recording, all series of a row together. Stretches of
 * `stretch` rows on average begin anywhere (the stationary bootstrap of Politis and Romano, 1994),
 * so the process is stationary, its medians are those of the recording, and it is autocorrelated
 * like it within stretches. */
static inline void noise_rounds(const noise *x, bg_rng *rng, double stretch, size_t n, size_t *rows)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || bg_rng_unit(rng) < 1 / stretch) at = (size_t)bg_rng_below(rng, x->n);
        rows[i] = at;
        at = (at + 1) % x->n;
    }
}

/* Results on that machine (machine.json) of a sweep whose rounds took as long as these rows; series
 * `slow` takes `factor` times that. */
static inline bg_results *noise_sweep(const noise *x, const char *machine, const size_t *rows,
                                      size_t n, size_t slow, double factor)
{
    bg_error err;
    bg_results *r;
    assert_ok(bg_results_new(&r, "sweep", "{}", &err), &err);
    assert_ok(bg_results_describe(r, "{}", machine, &err), &err);
    for (size_t s = 0; s < x->n_series; s++) {
        bg_sample sample = {.tokens = 1000, .isa = "avx2"};
        bg_row *row = bg_row_new();
        assert_non_null(row);
        assert_int_equal(sscanf(x->names[s], "%31[^-]-%31[^-]-%d", sample.scheme, sample.test,
                                &sample.threads), 3);
        bg_row_set_text(row, BG_COL_SCHEME, sample.scheme);
        bg_row_set_text(row, BG_COL_TEST, sample.test);
        bg_row_set_text(row, BG_COL_ISA, sample.isa);
        bg_row_set_text(row, BG_COL_MODEL, "model");
        bg_row_set_text(row, BG_COL_STATUS, "ok");
        bg_row_set_number(row, BG_COL_THREADS, sample.threads);
        bg_row_set_number(row, BG_COL_TPS, 1);
        assert_ok(bg_results_add(r, &row, &err), &err);
        for (size_t i = 0; i < n; i++) {
            sample.rep = (uint32_t)i;
            sample.position = i * x->n_series + s;
            sample.seconds = x->ms[s][rows[i]] * 1e-3 * (s == slow ? factor : 1);
            assert_ok(bg_results_add_sample(r, &sample, &err), &err);
        }
    }
    return r;
}

#endif
