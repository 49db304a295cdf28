/* Energy over trees of /sys that are rewritten between start and stop; a fake NVML; migrations
 * counted by PAPI's software event. */
#include "test.h"

#include "bitgauge/counters.h"

#include "base/file.h"
#include "base/team.h"
#include "counters/nvml.h"

#include <ftw.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) < (tolerance))

static char root[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/bitgauge-energy-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *dir, const char *file, const char *text)
{
    char path[256];
    bg_error err;
    snprintf(path, sizeof path, "%s/class/%s", root, dir);
    assert_ok(bg_dir_create(path, &err), &err);
    strcat(strcat(path, "/"), file);
    assert_ok(bg_file_write(path, text, strlen(text), &err), &err);
}

static void put_zone(const char *zone, const char *name, const char *energy, const char *range)
{
    char dir[64];
    snprintf(dir, sizeof dir, "powercap/%s", zone);
    put(dir, "name", name);
    put(dir, "energy_uj", energy);
    put(dir, "max_energy_range_uj", range);
}

static bg_counters *open_counters(void)
{
    bg_counters *c;
    bg_error err;
    assert_ok(bg_counters_open(&c, &(bg_counters_options){.sysfs_root = root}, &err), &err);
    return c;
}

/* Two packages, one of which wraps; core and uncore are parts, psys is the whole, mmio is the same
 * package again: none of those may be added. */
static void test_rapl_server(void **state)
{
    double v[BG_COUNTER_COUNT];
    bg_counters *c;
    (void)state;
    put_zone("intel-rapl:0", "package-0\n", "1000000\n", "262143328850\n");
    put_zone("intel-rapl:0:0", "core\n", "10\n", "262143328850\n");
    put_zone("intel-rapl:0:1", "uncore\n", "10\n", "262143328850\n");
    put_zone("intel-rapl:0:2", "dram\n", "65712999000\n", "65712999613\n");
    put_zone("intel-rapl:1", "package-1\n", "262143000000\n", "262143328850\n");
    put_zone("intel-rapl:1:0", "dram\n", "500000\n", "65712999613\n");
    put_zone("intel-rapl:2", "psys\n", "5\n", "262143328850\n");
    put_zone("intel-rapl-mmio:0", "package-0\n", "1000000\n", "262143328850\n");
    put("powercap/intel-rapl", "enabled", "1\n");
    c = open_counters();
    assert_null(bg_counters_reason(c, BG_COUNTER_ENERGY_PACKAGE));
    assert_null(bg_counters_reason(c, BG_COUNTER_ENERGY_DRAM));
    assert_string_equal(bg_counters_backend(c, BG_COUNTER_ENERGY_DRAM), "powercap");
    assert_true(bg_counters_energy_period(c) > 0);
    bg_counters_start(c);
    put_zone("intel-rapl:0", "package-0\n", "4000000\n", "262143328850\n");
    put_zone("intel-rapl:0:0", "core\n", "2000000\n", "262143328850\n");
    put_zone("intel-rapl:0:1", "uncore\n", "1000000\n", "262143328850\n");
    put_zone("intel-rapl:0:2", "dram\n", "249387\n", "65712999613\n");
    put_zone("intel-rapl:1", "package-1\n", "671150\n", "262143328850\n");
    put_zone("intel-rapl:1:0", "dram\n", "1250000\n", "65712999613\n");
    put_zone("intel-rapl:2", "psys\n", "9000000\n", "262143328850\n");
    put_zone("intel-rapl-mmio:0", "package-0\n", "4000000\n", "262143328850\n");
    bg_counters_stop(c, v);
    assert_near(v[BG_COUNTER_ENERGY_PACKAGE], 3.0 + 1.0, 1e-9);
    assert_near(v[BG_COUNTER_ENERGY_DRAM], 0.25 + 0.75, 1e-9);
    /* Nothing moved: too short to measure, which is not the same as nothing. */
    bg_counters_start(c);
    bg_counters_stop(c, v);
    assert_true(isnan(v[BG_COUNTER_ENERGY_PACKAGE]) && isnan(v[BG_COUNTER_ENERGY_DRAM]));
    /* A zone that vanishes takes the sum with it. */
    bg_counters_start(c);
    put_zone("intel-rapl:0", "package-0\n", "9000000\n", "262143328850\n");
    put_zone("intel-rapl:1", "package-1\n", "", "262143328850\n");
    bg_counters_stop(c, v);
    assert_true(isnan(v[BG_COUNTER_ENERGY_PACKAGE]));
    bg_counters_close(&c);
}

static void test_rapl_mmio_only(void **state)
{
    double v[BG_COUNTER_COUNT];
    bg_counters *c;
    (void)state;
    put_zone("intel-rapl-mmio:0", "package-0\n", "100\n", "262143328850\n");
    c = open_counters();
    bg_counters_start(c);
    put_zone("intel-rapl-mmio:0", "package-0\n", "1500100\n", "262143328850\n");
    bg_counters_stop(c, v);
    assert_near(v[BG_COUNTER_ENERGY_PACKAGE], 1.5, 1e-9);
    assert_true(isnan(v[BG_COUNTER_ENERGY_DRAM]));
    assert_non_null(strstr(bg_counters_reason(c, BG_COUNTER_ENERGY_DRAM), "no such zone"));
    bg_counters_close(&c);
}

/* A counter so small that it may have gone round more than once is not believed. */
static void test_rapl_ambiguous(void **state)
{
    double v[BG_COUNTER_COUNT];
    bg_counters *c;
    (void)state;
    put_zone("intel-rapl:0", "package-0\n", "100\n", "1000\n");
    c = open_counters();
    bg_counters_start(c);
    usleep(1000);
    put_zone("intel-rapl:0", "package-0\n", "200\n", "1000\n");
    bg_counters_stop(c, v);
    assert_true(isnan(v[BG_COUNTER_ENERGY_PACKAGE]));
    bg_counters_close(&c);
}

static void test_rapl_permission(void **state)
{
    char path[256];
    bg_counters *c;
    (void)state;
    if (geteuid() == 0) skip(); /* root may read everything */
    put_zone("intel-rapl:0", "package-0\n", "100\n", "262143328850\n");
    snprintf(path, sizeof path, "%s/class/powercap/intel-rapl:0/energy_uj", root);
    chmod(path, 0);
    c = open_counters();
    assert_non_null(strstr(bg_counters_reason(c, BG_COUNTER_ENERGY_PACKAGE), "chmod"));
    bg_counters_close(&c);
}

static void test_battery(void **state)
{
    double v[BG_COUNTER_COUNT];
    bg_counters *c;
    (void)state;
    put("power_supply/AC", "type", "Mains\n");
    put("power_supply/BAT0", "type", "Battery\n");
    put("power_supply/BAT0", "status", "Discharging\n");
    put("power_supply/BAT0", "energy_now", "40000000\n"); /* uWh */
    put("power_supply/BAT1", "type", "Battery\n");
    put("power_supply/BAT1", "status", "Not charging\n");
    put("power_supply/BAT1", "charge_now", "2000000\n");  /* uAh */
    put("power_supply/BAT1", "voltage_now", "11500000\n");
    put("power_supply/hid-mouse", "type", "Battery\n");
    put("power_supply/hid-mouse", "scope", "Device\n");
    put("power_supply/hid-mouse", "status", "Discharging\n");
    c = open_counters();
    assert_null(bg_counters_reason(c, BG_COUNTER_ENERGY_BATTERY));
    assert_true(bg_counters_energy_period(c) > 1);
    bg_counters_start(c);
    put("power_supply/BAT0", "energy_now", "39990000\n");
    put("power_supply/BAT1", "charge_now", "1999000\n");
    bg_counters_stop(c, v);
    /* 10 mWh, and 1 mAh at 11.5 V. */
    assert_near(v[BG_COUNTER_ENERGY_BATTERY], 0.010 * 3600 + 0.001 * 11.5 * 3600, 1e-6);
    bg_counters_start(c);
    put("power_supply/BAT0", "status", "Charging\n");
    put("power_supply/BAT0", "energy_now", "39000000\n");
    bg_counters_stop(c, v);
    assert_true(isnan(v[BG_COUNTER_ENERGY_BATTERY]));
    bg_counters_close(&c);
    c = open_counters();
    assert_non_null(strstr(bg_counters_reason(c, BG_COUNTER_ENERGY_BATTERY), "unplug"));
    bg_counters_close(&c);
}

static unsigned fake_gpus;
static int fake_status;
static int fake_count(unsigned *n) { *n = fake_gpus; return 0; }
static int fake_handle(unsigned i, void **device)
{
    *device = (void *)(uintptr_t)(i + 1);
    return 0;
}
static int fake_energy(void *device, unsigned long long *mj)
{
    *mj = 1500u * (unsigned long long)(uintptr_t)device;
    return fake_status;
}
static const char *fake_error(int status) { return status == 3 ? "Not Supported" : "?"; }

static void test_nvml(void **state)
{
    const bg_nvml_api api = {.count = fake_count, .handle = fake_handle, .energy = fake_energy,
                             .error = fake_error};
    char reason[64] = "";
    (void)state;
    assert_true(isnan(bg_nvml_joules(&api, reason, sizeof reason)));
    assert_string_equal(reason, "no NVIDIA GPU");
    fake_gpus = 2;
    assert_near(bg_nvml_joules(&api, reason, sizeof reason), 1.5 + 3.0, 1e-12);
    fake_status = 3;
    assert_true(isnan(bg_nvml_joules(&api, reason, sizeof reason)));
    assert_string_equal(reason, "GPU 0: Not Supported");
}

/* Each member moves to one CPU and then to another: at least one migration each. */
static void move(void *user, int member, int size)
{
    const unsigned *cpus = user;
    (void)member;
    (void)size;
    for (int i = 0; i < 2; i++) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpus[i], &set);
        sched_setaffinity(0, sizeof set, &set);
    }
}

/* Where /proc has no sched file, PAPI's software event steps in, if this kernel lets it; either
 * way the migrations are those of all members. */
static void test_migrations(void **state)
{
    const char *proc[] = {NULL, "/nonexistent"};
    double v[BG_COUNTER_COUNT];
    cpu_set_t before;
    unsigned cpus[2], n = 0;
    bg_counters *c;
    bg_team *team;
    bg_error err;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    for (unsigned i = 0; i < CPU_SETSIZE && n < 2; i++)
        if (CPU_ISSET(i, &before)) cpus[n++] = i;
    if (n < 2) skip();
    for (size_t i = 0; i < 2; i++) {
        bg_counters_options o = {.sysfs_root = root, .procfs_root = proc[i]};
        assert_ok(bg_team_open(&team, 3, NULL, NULL, &err), &err);
        o.team = team;
        assert_ok(bg_counters_open(&c, &o, &err), &err);
        for (int round = 0; round < 2; round++) {
            bg_counters_start(c);
            bg_team_run(team, move, cpus);
            bg_counters_stop(c, v);
            if (bg_counters_reason(c, BG_COUNTER_MIGRATIONS))
                assert_true(isnan(v[BG_COUNTER_MIGRATIONS]));
            else
                assert_in_range((long)v[BG_COUNTER_MIGRATIONS], 3, 100);
        }
        bg_counters_close(&c);
        bg_team_close(&team);
        sched_setaffinity(0, sizeof before, &before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rapl_server, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_rapl_mmio_only, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_rapl_ambiguous, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_rapl_permission, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_battery, make_root, remove_root),
        cmocka_unit_test(test_nvml),
        cmocka_unit_test_setup_teardown(test_migrations, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
