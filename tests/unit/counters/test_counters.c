#include "test.h"

#include "bitgauge/counters.h"

#include "base/base.h"
#include "base/team.h"

#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static void burn(void *user, int member, int size)
{
    uint64_t end = bg_clock_ns() + *(uint64_t *)user;
    (void)member;
    (void)size;
    while (bg_clock_ns() < end) continue;
}

static void test_region(void **state)
{
    double v[BG_COUNTER_COUNT];
    const size_t bytes = 64 * 4096;
    uint64_t ns = 30000000;
    bg_counters *c;
    bg_team *team;
    bg_error err;
    char *p;
    (void)state;
    assert_ok(bg_team_open(&team, 2, NULL, NULL, &err), &err);
    assert_ok(bg_counters_open(&c, &(bg_counters_options){.team = team}, &err), &err);
    bg_counters_start(c);
    bg_team_run(team, burn, &ns);
    p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    madvise(p, bytes, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < bytes; i += 4096) p[i] = 1;
    bg_counters_stop(c, v);
    munmap(p, bytes);
    assert_true(v[BG_COUNTER_MINOR_FAULTS] >= 64);
    assert_true(v[BG_COUNTER_USER_TIME] + v[BG_COUNTER_SYSTEM_TIME] > 0.01);
    for (bg_counter id = 0; id < BG_COUNTER_COUNT; id++) {
        const char *reason = bg_counters_reason(c, id);
        if (reason) assert_true(isnan(v[id]) && *reason);
        else assert_non_null(bg_counters_backend(c, id));
    }
    if (!bg_counters_reason(c, BG_COUNTER_TSC)) assert_true(v[BG_COUNTER_TSC] > 30e-3 * 10e6);
    bg_counters_close(&c);
    assert_null(c);
    bg_team_close(&team);
}

static void check_array(char *text, size_t *n)
{
    json_error_t e;
    json_t *array = json_loads(text, 0, &e), *item;
    size_t i;
    assert_true(json_is_array(array));
    json_array_foreach(array, i, item) {
        const char *status = json_string_value(json_object_get(item, "status"));
        json_t *reason = json_object_get(item, "reason");
        assert_true(json_is_string(json_object_get(item, "name")));
        if (strcmp(status, "ok") == 0) assert_true(json_is_null(reason));
        else assert_true(strcmp(status, "unavailable") == 0 && json_string_length(reason) > 0);
    }
    *n += json_array_size(array);
    json_decref(array);
    bg_free_text(text);
}

static void test_json(void **state)
{
    char *counters, *energy;
    size_t n = 0;
    bg_counters *c;
    bg_error err;
    (void)state;
    assert_ok(bg_counters_open(&c, NULL, &err), &err);
    assert_ok(bg_counters_json(c, &counters, &energy, &err), &err);
    assert_non_null(strstr(energy, "energy_package_j"));
    assert_null(strstr(counters, "energy_"));
    check_array(counters, &n);
    check_array(energy, &n);
    assert_int_equal(n, BG_COUNTER_COUNT);
    bg_counters_close(&c);
}

static void test_rss(void **state)
{
    const size_t bytes = 32u << 20;
    uint64_t before = bg_current_rss();
    char *p = bg_alloc_large(bytes);
    (void)state;
    assert_non_null(p);
    memset(p, 1, bytes);
    assert_true(bg_current_rss() > before + bytes / 2);
    assert_true(bg_peak_rss() > bytes);
    bg_free_large(p, bytes);
}

/* Roots where nothing is: everything that needs a file is absent and says why. */
static void test_nothing_there(void **state)
{
    bg_counters_options o = {.sysfs_root = "/nonexistent", .procfs_root = "/nonexistent"};
    double v[BG_COUNTER_COUNT];
    bg_counters *c;
    bg_error err;
    (void)state;
    assert_ok(bg_counters_open(&c, &o, &err), &err);
    bg_counters_start(c);
    bg_counters_stop(c, v);
    assert_true(isnan(v[BG_COUNTER_ENERGY_PACKAGE]) && isnan(v[BG_COUNTER_ENERGY_DRAM]));
    assert_true(isnan(v[BG_COUNTER_ENERGY_BATTERY]));
    assert_non_null(bg_counters_reason(c, BG_COUNTER_ENERGY_PACKAGE));
    assert_true(isnan(bg_counters_energy_period(c)) ||
                !bg_counters_reason(c, BG_COUNTER_ENERGY_GPU));
    bg_counters_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_region),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_rss),
        cmocka_unit_test(test_nothing_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
