/* Noise floors: a closed form, recorded noise of a shared machine, and what is kept of them. */
#include "test.h"

#include "base/file.h"
#include "bitgauge/noise.h"
#include "bitgauge/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void closed_form(void **state)
{
    double x[12 * 4];
    uint32_t pairs;
    (void)state;
    for (int i = 0; i < 48; i++) x[i] = 7 * exp(i / 4 % 2 ? 0.01 : -0.01);
    assert_true(fabs(bg_noise_estimate(x, 48, &pairs) - expm1(0.02)) < 1e-12);
    assert_int_equal(pairs, 41 * 42 / 2); /* 45 begins, of which two are 4 or more apart */
    assert_true(bg_noise_estimate(x, 16, &pairs) > 0);
    assert_int_equal(pairs, 9 * 10 / 2);
    assert_true(isnan(bg_noise_estimate(x, 15, &pairs)));
    assert_int_equal(pairs, 0);
    for (int i = 0; i < 48; i++) x[i] = 3;
    assert_true(fabs(bg_noise_estimate(x, 48, &pairs)) < 1e-12);
}

/* One column of a recording. */
static size_t read_noise(const char *name, int column, double *out, size_t most)
{
    char path[512], line[1024];
    bool heading = true;
    size_t n = 0;
    FILE *f;
    snprintf(path, sizeof path, "%s/noise/%s.csv", BG_FIXTURES, name);
    f = fopen(path, "r");
    assert_non_null(f);
    while (n < most && fgets(line, sizeof line, f)) {
        char *rest = line;
        if (*line == '#') continue;
        if (!heading) {
            for (int i = 0; i < column; i++) strsep(&rest, ",");
            out[n++] = atof(rest);
        }
        heading = false;
    }
    fclose(f);
    return n;
}

/* Of sixteen repetitions here and sixteen there, spread over a stretch as a sweep spreads them, few
 * differ by more than the floor. A tenth of the recording is such a stretch. */
static void covers_recorded_noise(void **state)
{
    static const struct { const char *name; int columns; } files[] = {{"shared", 6},
                                                                      {"priority", 4}};
    enum { MOST = 1200, PAIRS = 400, REPS = 16 };
    static double x[MOST];
    size_t beyond = 0, all = 0;
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 4);
    for (size_t k = 0; k < BG_COUNT(files); k++)
        for (int column = 0; column < files[k].columns; column++) {
            size_t n = read_noise(files[k].name, column, x, MOST), length = n / 10;
            uint32_t pairs;
            double floor = bg_noise_estimate(x, n, &pairs);
            assert_true(n > 400 && floor > 0);
            for (int t = 0; t < PAIRS; t++) {
                double medians[2], taken[REPS];
                for (int side = 0; side < 2; side++) {
                    size_t from = (size_t)bg_rng_below(&rng, n - length);
                    for (size_t i = 0; i < REPS; i++) taken[i] = x[from + i * length / REPS];
                    medians[side] = bg_quantile(taken, REPS, 0.5);
                }
                beyond += fabs(medians[0] / medians[1] - 1) > floor;
                all++;
            }
        }
    if (beyond * 100 > all * 2) fail_msg("%zu of %zu pairs are beyond the floor", beyond, all);
}

static bg_machine *open_machine(void)
{
    bg_machine *m;
    bg_error err;
    assert_ok(bg_machine_open(&m, NULL, &err), &err);
    return m;
}

static void floors_are_kept(void **state)
{
    char dir[] = "/tmp/bitgauge-floors-XXXXXX", *path, *text;
    bg_noise_floor floor = {.kind = "tg", .threads = 2, .floor = 0.25, .pairs = 66, .seconds = 60,
                            .measured = "2026-01-31T12:00:00Z"};
    const bg_noise_floor *back;
    bg_machine *m = open_machine();
    bg_error err;
    (void)state;
    assert_non_null(mkdtemp(dir));
    path = bg_path_join(dir, "machine.json");
    assert_fails(bg_machine_read_floors(m, path, &err), BG_ERR_INPUT, "probe --noise", &err);
    assert_ok(bg_machine_json(m, &(bg_machine_notes){0}, &text, &err), &err);
    assert_ok(bg_file_write(path, text, strlen(text), &err), &err);
    bg_free_text(text);
    assert_fails(bg_machine_read_floors(m, path, &err), BG_ERR_INPUT, "no noise floors", &err);
    assert_null(bg_machine_floor(m, 0));
    bg_machine_set_floor(m, &floor);
    floor.threads = 1;
    bg_machine_set_floor(m, &floor);
    floor.floor = 0.125;
    bg_machine_set_floor(m, &floor); /* in place of the one before */
    assert_null(bg_machine_floor(m, 2));
    assert_ok(bg_machine_json(m, &(bg_machine_notes){0}, &text, &err), &err);
    assert_ok(bg_file_write(path, text, strlen(text), &err), &err);
    bg_machine_close(&m);
    m = open_machine();
    assert_ok(bg_machine_read_floors(m, path, &err), &err);
    back = bg_machine_floor(m, 1);
    assert_non_null(back);
    assert_true(back->threads == 1 && back->floor == 0.125 && back->pairs == 66);
    assert_true(back->seconds == 60 && strcmp(back->measured, floor.measured) == 0);
    assert_true(bg_machine_floor(m, 0)->floor == 0.25);
    *strstr(text, "\"floor\": 0.125") = '#'; /* not JSON any more */
    assert_ok(bg_file_write(path, text, strlen(text), &err), &err);
    assert_fails(bg_machine_read_floors(m, path, &err), BG_ERR_INPUT, "not JSON", &err);
    assert_ok(bg_file_write(path, "{\"noise_floors\": [{}]}", 22, &err), &err);
    assert_fails(bg_machine_read_floors(m, path, &err), BG_ERR_INPUT, "another CPU", &err);
    bg_free_text(text);
    unlink(path);
    rmdir(dir);
    bg_free(path);
    bg_machine_close(&m);
}

static void place_of_the_cache(void **state)
{
    bg_machine *m = open_machine();
    char *a, *b;
    (void)state;
    setenv("XDG_CACHE_HOME", "/x", 1);
    a = bg_machine_floors_path(m);
    assert_non_null(a);
    assert_int_equal(strncmp(a, "/x/bitgauge/noise-", 18), 0);
    setenv("XDG_CACHE_HOME", "relative", 1); /* counts as none */
    setenv("HOME", "/h", 1);
    b = bg_machine_floors_path(m);
    assert_int_equal(strncmp(b, "/h/.cache/bitgauge/noise-", 25), 0);
    assert_string_equal(strrchr(a, '/'), strrchr(b, '/'));
    unsetenv("HOME");
    assert_null(bg_machine_floors_path(m));
    bg_free_text(a);
    bg_free_text(b);
    bg_machine_close(&m);
}

/* Medians e^d and e^-d: the variance is 2 d^2, of a difference twice that, and 2.5758 of its root
 * hold 99 % of a normal law. */
static void between_copies(void **state)
{
    double two[] = {100 * exp(0.01), 100 * exp(-0.01)}, same[] = {7, 7, 7}, lacking[] = {7, NAN};
    (void)state;
    assert_true(fabs(bg_noise_between(two, 2) - expm1(2.5758293035489 * 0.02)) < 1e-9);
    assert_true(fabs(bg_noise_between(same, 3)) < 1e-9);
    assert_true(isnan(bg_noise_between(lacking, 2)) && isnan(bg_noise_between(two, 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_form), cmocka_unit_test(covers_recorded_noise),
        cmocka_unit_test(between_copies),
        cmocka_unit_test(floors_are_kept), cmocka_unit_test(place_of_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
