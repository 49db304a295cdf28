/* Energy windows on a meter in a file, which only moves when the test says so. */
#include "test.h"

#include "base/file.h"
#include "harness/energy.h"

#include <ftw.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];
static long long package, dram; /* microjoules */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void put(const char *zone, const char *file, const char *format, long long number)
{
    char path[256];
    bg_error err;
    FILE *f;
    snprintf(path, sizeof path, "%s/class/powercap/%s", root, zone);
    assert_ok(bg_dir_create(path, &err), &err);
    strcat(strcat(path, "/"), file);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, format, number);
    fclose(f);
}

static void show(void)
{
    put("intel-rapl:0", "energy_uj", "%lld\n", package);
    put("intel-rapl:0:0", "energy_uj", "%lld\n", dram);
}

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/bitgauge-window-XXXXXX");
    if (!mkdtemp(root)) return -1;
    put("intel-rapl:0", "name", "package-%lld\n", 0);
    put("intel-rapl:0", "max_energy_range_uj", "%lld\n", 262143328850);
    put("intel-rapl:0:0", "name", "dram\n", 0);
    put("intel-rapl:0:0", "max_energy_range_uj", "%lld\n", 65712999613);
    show();
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bg_counters *open_counters(void)
{
    bg_counters *c;
    bg_error err;
    assert_ok(bg_counters_open(&c, &(bg_counters_options){.sysfs_root = root}, &err), &err);
    return c;
}

static int calls;

/* 0.3 s and 4 J of which one is the memory's; what comes before the test costs 100 J more. */
static bg_status work(const bg_timed *t, double *seconds, bg_error *err)
{
    (void)err;
    calls++;
    if (t->depth) package += 100000000;
    show();
    if (t->on_start) t->on_start(t->user);
    usleep(300000);
    package += 3000000;
    dram += 1000000;
    show();
    if (t->on_stop) t->on_stop(t->user);
    *seconds = 0.3;
    return BG_OK;
}

/* Repeated until a second has passed; a generation without context counts its first token, too. */
static void windows(void **state)
{
    static const struct { bg_timed t; double tokens; } cases[] = {
        {{.n_prompt = 10}, 10}, {{.n_gen = 9}, 10}, {{.n_gen = 10, .depth = 5}, 10},
    };
    bg_counters *c = open_counters();
    bg_error err;
    (void)state;
    assert_true(bg_energy_window(c) == 1);
    for (size_t i = 0; i < BG_COUNT(cases); i++) {
        bg_energy e, idle = {.joules = 1, .seconds = 2, .source = "package+dram"};
        bg_row *row = bg_row_new();
        double perfect;
        calls = 0;
        assert_ok(bg_energy_test(c, &cases[i].t, work, &e, &err), &err);
        assert_true(calls >= 1 && calls <= 4 && e.seconds >= 1);
        assert_true(e.tokens == calls * cases[i].tokens);
        assert_true(fabs(e.joules - 4.0 * calls) < 1e-6);
        assert_string_equal(e.source, "package+dram");
        bg_energy_fill(row, &e, &idle);
        assert_true(fabs(bg_row_number(row, BG_COL_J_TOKEN) - 0.4) < 1e-9);
        assert_true(bg_row_number(row, BG_COL_IDLE_WATTS) == 0.5);
        perfect = (e.joules - 0.5 * e.seconds) / e.tokens;
        assert_true(fabs(bg_row_number(row, BG_COL_J_TOKEN_NET) - perfect) < 1e-9);
        assert_true(bg_row_number(row, BG_COL_ENERGY_S) == e.seconds);
        /* Idle power of another meter is not subtracted. */
        bg_row_clear(row, BG_COL_J_TOKEN_NET);
        idle.source = "package";
        bg_energy_fill(row, &e, &idle);
        assert_false(bg_row_has(row, BG_COL_J_TOKEN_NET));
        bg_row_free(&row);
    }
    bg_counters_close(&c);
}

static void *draw(void *unused)
{
    (void)unused;
    usleep(300000);
    package += 2000000;
    show();
    return NULL;
}

static void idle_power(void **state)
{
    bg_counters *c = open_counters();
    pthread_t thread;
    bg_energy e;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, draw, NULL), 0);
    bg_energy_idle(c, &e);
    pthread_join(thread, NULL);
    assert_true(fabs(e.joules - 2) < 1e-6 && e.seconds >= 1);
    assert_string_equal(e.source, "package"); /* the memory's meter did not move */
    bg_counters_close(&c);
}

/* No meter: nothing is run, and nothing is made up. */
static void without_a_meter(void **state)
{
    bg_counters *c;
    bg_energy e, idle;
    bg_error err;
    bg_timed t = {.n_prompt = 10};
    bg_row *row = bg_row_new();
    (void)state;
    assert_ok(bg_counters_open(&c, &(bg_counters_options){.sysfs_root = "/nowhere"}, &err), &err);
    calls = 0;
    assert_ok(bg_energy_test(c, &t, work, &e, &err), &err);
    bg_energy_idle(c, &idle);
    assert_true(calls == 0 && isnan(e.joules) && isnan(idle.joules));
    bg_energy_fill(row, &e, &idle);
    assert_false(bg_row_has(row, BG_COL_J_TOKEN) || bg_row_has(row, BG_COL_IDLE_WATTS));
    bg_row_free(&row);
    bg_counters_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows), cmocka_unit_test(idle_power),
        cmocka_unit_test(without_a_meter),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
