#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "base/team.h"
#include "machine/machine.h"

#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define FIXTURE(name) BG_FIXTURES "/machine/" name
#define SERVER FIXTURE("server-2s") "/topology.xml"

static bg_machine *open_fixture(const char *folder, const char *topology)
{
    char *sysfs = bg_path_join(folder, "sys"), *procfs = bg_path_join(folder, "proc");
    bg_machine *m;
    bg_error err;
    if (!bg_have_hwloc) {
        bg_free(sysfs);
        bg_free(procfs);
        skip();
    }
    assert_ok(bg_machine_open(&m, &(bg_machine_options){.sysfs_root = sysfs, .procfs_root = procfs,
                                                        .topology_xml = topology}, &err), &err);
    bg_free(sysfs);
    bg_free(procfs);
    return m;
}

/* Two groups limit the CPU: the tighter one, above, counts. Its memory: 8 GiB, 3 used, of which 1
 * is cache that can go. */
static void test_nested_groups(void **state)
{
    bg_machine *m = open_fixture(FIXTURE("server-2s"), SERVER);
    bg_limits limits;
    (void)state;
    assert_int_equal(bg_machine_cores(m), 16);
    assert_int_equal(m->n_cpus, 32);
    bg_machine_limits(m, &limits);
    assert_true(limits.cpu_quota == 6.5);
    assert_int_equal(limits.throttled, 4);
    assert_int_equal(bg_machine_default_threads(m), 6);
    assert_int_equal(limits.memory_limit, UINT64_C(8) << 30);
    assert_int_equal(bg_machine_memory_available(m), UINT64_C(6) << 30);
    assert_int_equal(bg_machine_memory_total(m), UINT64_C(131900000) << 10);
    bg_machine_close(&m);
    assert_null(m);
}

static void test_half_a_cpu(void **state)
{
    bg_machine *m = open_fixture(FIXTURE("cgroup-v2-half"), SERVER);
    bg_limits limits;
    (void)state;
    bg_machine_limits(m, &limits);
    assert_true(limits.cpu_quota == 0.5);
    assert_int_equal(bg_machine_default_threads(m), 1);
    assert_int_equal(bg_machine_memory_available(m), 0);
    bg_machine_close(&m);
}

static void test_v1(void **state)
{
    bg_machine *m = open_fixture(FIXTURE("cgroup-v1"), SERVER);
    bg_limits limits;
    (void)state;
    bg_machine_limits(m, &limits);
    assert_true(limits.cpu_quota == 3.5);
    assert_int_equal(limits.throttled, 9);
    assert_int_equal(bg_machine_default_threads(m), 3);
    assert_int_equal(limits.memory_limit, UINT64_C(2) << 30);
    assert_int_equal(bg_machine_memory_available(m), (UINT64_C(512) + 256) << 20);
    bg_machine_close(&m);
    m = open_fixture(FIXTURE("cgroup-v1-free"), SERVER);
    bg_machine_limits(m, &limits);
    assert_true(isnan(limits.cpu_quota));
    assert_true(limits.memory_limit == UINT64_MAX && limits.memory_room == UINT64_MAX);
    assert_int_equal(bg_machine_default_threads(m), 16);
    bg_machine_close(&m);
}

/* Fast cores first, although the topology lists the slow ones first. */
static void test_hybrid(void **state)
{
    bg_machine *m = open_fixture(FIXTURE("hybrid"), FIXTURE("hybrid") "/topology.xml");
    size_t bytes;
    (void)state;
    assert_string_equal(bg_machine_cpu_model(m), "12th Gen Intel(R) Core(TM) i9-12900K");
    assert_int_equal(bg_machine_cores(m), 16);
    assert_int_equal(bg_machine_default_threads(m), 16);
    for (int i = 0; i < 16; i++)
        assert_int_equal(m->cores[i].cpus[0]->os, (i + 8) % 16);
    assert_int_equal(bg_machine_cache_bytes(m, 1), 32 << 10);
    assert_int_equal(bg_machine_cache_bytes(m, 2), 2 << 20);
    assert_int_equal(bg_machine_cache_bytes(m, 3), 24 << 20);
    assert_int_equal(bg_machine_cache_bytes(m, 4), 0);
    assert_int_equal(bg_machine_cache_sharers(m, 2, 0, 6, &bytes), 4);
    assert_int_equal(bg_machine_cache_sharers(m, 2, 5, 6, &bytes), 2);
    assert_int_equal(bg_machine_last_level_bytes(m), 24 << 20);
    assert_int_equal(m->virtualised, 0);
    bg_machine_bind(m, 3); /* of a recorded machine: does nothing */
    bg_machine_close(&m);
}

static void test_noise(void **state)
{
    bg_machine *m = open_fixture(FIXTURE("hybrid"), FIXTURE("hybrid") "/topology.xml");
    bg_noise before, after;
    (void)state;
    bg_machine_noise(m, &before);
    assert_true(fabs(before.steal_ratio - 0.05) < 1e-12);
    assert_true(before.load1 == 1.25);
    assert_true(before.thermal_events == 0 + 1 + 2 + 3 * 7);
    assert_string_equal(before.governor, "powersave");
    after = before;
    assert_true(isnan(bg_noise_steal(&before, &after)));
    after.steal_ticks += 25;
    after.total_ticks += 100;
    assert_true(bg_noise_steal(&before, &after) == 0.25);
    bg_machine_close(&m);
    m = open_fixture("/nonexistent", SERVER);
    bg_machine_noise(m, &before);
    assert_true(isnan(before.steal_ratio) && isnan(before.load1) && !before.governor);
    assert_true(isnan(before.thermal_events) && isnan(before.quota_events) && !before.has_guest);
    assert_int_equal(m->virtualised, -1);
    assert_int_equal(bg_machine_memory_total(m), UINT64_C(128) << 30); /* hwloc's */
    bg_machine_close(&m);
}

static json_t *json_of(const bg_machine *m)
{
    char *text, counters[] = "[{\"name\":\"x\"}]";
    bg_error err;
    json_t *root;
    assert_ok(bg_machine_json(m, &(bg_machine_notes){.counters = counters}, &text, &err), &err);
    assert_null(strstr(text, "rivate"));
    root = json_loads(text, 0, NULL);
    assert_non_null(root);
    bg_free_text(text);
    return root;
}

static json_int_t number_at(const json_t *array, size_t i, const char *key)
{
    return json_integer_value(json_object_get(json_array_get(array, i), key));
}

static void test_json(void **state)
{
    bg_machine *m = open_fixture(FIXTURE("hybrid"), FIXTURE("hybrid") "/topology.xml");
    json_t *root = json_of(m), *cpu = json_object_get(root, "cpu"), *kinds, *caches, *limits;
    (void)state;
    kinds = json_object_get(cpu, "core_kinds");
    assert_int_equal(json_array_size(kinds), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(kinds, 1), "type")),
                        "IntelCore");
    assert_int_equal(number_at(kinds, 1, "cores"), 8);
    assert_int_equal(number_at(kinds, 1, "max_mhz"), 4700);
    caches = json_object_get(cpu, "caches");
    assert_int_equal(json_array_size(caches), 3);
    assert_int_equal(number_at(caches, 0, "count"), 16);
    assert_int_equal(number_at(caches, 1, "shared_by"), 4);
    limits = json_object_get(root, "limits");
    assert_true(json_is_null(json_object_get(limits, "cpu_quota")));
    assert_true(json_is_null(json_object_get(limits, "memory_limit")));
    assert_true(json_is_false(json_object_get(root, "virtual")));
    assert_int_equal(json_array_size(json_object_get(root, "counters")), 1);
    assert_int_equal(json_array_size(json_object_get(root, "energy")), 0);
    assert_int_equal(json_array_size(json_object_get(root, "roofs")), 0);
    json_decref(root);
    bg_machine_close(&m);
    m = open_fixture(FIXTURE("server-2s"), SERVER);
    root = json_of(m);
    cpu = json_object_get(root, "cpu");
    assert_int_equal(json_integer_value(json_object_get(cpu, "packages")), 2);
    assert_int_equal(json_integer_value(json_object_get(cpu, "numa_nodes")), 2);
    assert_int_equal(json_integer_value(json_object_get(cpu, "threads")), 32);
    limits = json_object_get(root, "limits");
    assert_true(json_number_value(json_object_get(limits, "cpu_quota")) == 6.5);
    json_decref(root);
    bg_machine_close(&m);
}

/* What comes out describes the hardware, reads back as the same machine, and tells nothing else. */
static void test_xml(void **state)
{
    char path[] = "/tmp/bitgauge-xml-XXXXXX", *text;
    int fd = mkstemp(path);
    bg_machine *m = open_fixture(FIXTURE("hybrid"), FIXTURE("hybrid") "/topology.xml");
    bg_error err;
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_ok(bg_machine_write_xml(m, path, &err), &err);
    bg_machine_close(&m);
    assert_ok(bg_file_read(&text, NULL, path, 1 << 20, &err), &err);
    assert_null(strstr(text, "rivate"));
    assert_null(strstr(text, "PRIVATE"));
    assert_non_null(strstr(text, "i9-12900K"));
    assert_non_null(strstr(text, "IntelAtom"));
    bg_free(text);
    m = open_fixture(FIXTURE("hybrid"), path);
    assert_int_equal(bg_machine_cores(m), 16);
    assert_int_equal(m->cores[0].cpus[0]->os, 8);
    bg_machine_close(&m);
    assert_fails(bg_machine_open(&m, &(bg_machine_options){.topology_xml = "/nonexistent.xml"},
                                 &err), BG_ERR_INPUT, "/nonexistent.xml", &err);
    assert_null(m);
    unlink(path);
}

static void put(const char *root, const char *text, const char *format, ...)
{
    char path[512], *dir;
    bg_error err;
    size_t n = (size_t)snprintf(path, sizeof path, "%s/", root);
    va_list ap;
    va_start(ap, format);
    vsnprintf(path + n, sizeof path - n, format, ap);
    va_end(ap);
    dir = bg_strdup(path);
    *strrchr(dir, '/') = 0;
    assert_ok(bg_dir_create(dir, &err), &err);
    assert_ok(bg_file_write(path, text, strlen(text), &err), &err);
    bg_free(dir);
}

static void put_cache(const char *root, int cpu, int index, const char *level, const char *type,
                      const char *size, const char *shared)
{
    put(root, level, "devices/system/cpu/cpu%d/cache/index%d/level", cpu, index);
    put(root, type, "devices/system/cpu/cpu%d/cache/index%d/type", cpu, index);
    put(root, size, "devices/system/cpu/cpu%d/cache/index%d/size", cpu, index);
    put(root, "64\n", "devices/system/cpu/cpu%d/cache/index%d/coherency_line_size", cpu, index);
    put(root, shared, "devices/system/cpu/cpu%d/cache/index%d/shared_cpu_list", cpu, index);
}

/* Two efficiency cores that share a second-level cache, and two performance cores of two threads;
 * CPU 6 is off line. */
static void put_hybrid(const char *root)
{
    static const char *const siblings[] = {"0", "1", "2-3", "2-3", "4-5", "4-5"};
    put(root, "0-5,7\n", "devices/system/cpu/online");
    put(root, "0-1\n", "devices/cpu_atom/cpus");
    put(root, "2-5,7\n", "devices/cpu_core/cpus");
    put(root, "0-7\n", "devices/system/node/node0/cpulist");
    put(root, "2500000\n", "devices/system/cpu/cpu2/cpufreq/base_frequency");
    put(root, "4700000\n", "devices/system/cpu/cpu2/cpufreq/cpuinfo_max_freq");
    for (int i = 0; i < 6; i++) {
        put(root, siblings[i], "devices/system/cpu/cpu%d/topology/core_cpus_list", i);
        put(root, "0", "devices/system/cpu/cpu%d/topology/physical_package_id", i);
        put_cache(root, i, 0, "1", "Data", i < 2 ? "32K" : "48K", siblings[i]);
        put_cache(root, i, 1, "1", "Instruction", "64K", siblings[i]);
        put_cache(root, i, 2, "2", "Unified", "2048K", i < 2 ? "0-1" : siblings[i]);
        put_cache(root, i, 3, "3", "Unified", "24576K", "0-5,7");
    }
    put(root, "7", "devices/system/cpu/cpu7/topology/core_cpus_list");
    put_cache(root, 7, 3, "3", "Hologram", "64K", "7"); /* not understood, so not there */
}

static void test_sysfs(void **state)
{
    static const int cores[] = {0, 1, 2, 2, 3, 3, 4};
    char root[] = "/tmp/bitgauge-sys-XXXXXX", command[64];
    bg_topology t = {0};
    bg_error err;
    (void)state;
    assert_non_null(mkdtemp(root));
    assert_fails(bg_topology_read_sysfs(&t, root, &err), BG_ERR_IO, "online", &err);
    put_hybrid(root);
    assert_ok(bg_topology_read_sysfs(&t, root, &err), &err);
    assert_int_equal(t.n_cpus, 7);
    assert_int_equal(t.n_cores, 5);
    assert_int_equal(t.n_packages, 1);
    assert_int_equal(t.n_nodes, 1);
    for (int i = 0; i < t.n_cpus; i++) assert_int_equal(t.cpus[i].core, cores[i]);
    assert_int_equal(t.cpus[6].os, 7);
    assert_int_equal(t.cpus[6].cache[3], -1);
    assert_int_equal(t.n_kinds, 2);
    assert_string_equal(t.kinds[0].type, "IntelAtom");
    assert_int_equal(t.cpus[1].kind, 0);
    assert_int_equal(t.cpus[6].kind, 1);
    assert_int_equal(t.kinds[1].max_mhz, 4700);
    assert_int_equal(t.kinds[1].base_mhz, 2500);
    assert_int_equal(t.n_caches, 4 + 4 + 3 + 1);
    assert_int_equal(t.cpus[0].cache[2], t.cpus[1].cache[2]);
    assert_int_not_equal(t.cpus[2].cache[2], t.cpus[4].cache[2]);
    assert_int_equal(t.caches[t.cpus[2].cache[1]].bytes, 48 << 10);
    assert_int_equal(t.caches[t.cpus[2].cache[2]].shared_by, 2);
    assert_int_equal(t.caches[t.cpus[0].cache[3]].bytes, 24 << 20);
    assert_int_equal(t.caches[t.cpus[0].cache[3]].shared_by, 6);
    assert_int_equal(t.caches[t.cpus[0].cache[3]].line, 64);
    bg_topology_close(&t);
    snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

/* Both readers see the same machine. */
static void test_readers_agree(void **state)
{
    bg_topology a = {0}, b = {0};
    bg_error err;
    (void)state;
    if (!bg_have_hwloc || !bg_file_exists("/sys/devices/system/cpu/cpu0/topology")) skip();
    assert_ok(bg_topology_read_hwloc(&a, NULL, &err), &err);
    assert_ok(bg_topology_read_sysfs(&b, "/sys", &err), &err);
    for (int i = 0, k = 0; i < a.n_cpus; i++) {
        for (k = 0; k < b.n_cpus && b.cpus[k].os != a.cpus[i].os; k++) {}
        assert_true(k < b.n_cpus);
        for (int level = 1; level <= 3; level++) {
            int x = a.cpus[i].cache[level], y = b.cpus[k].cache[level];
            assert_int_equal(x < 0, y < 0);
            if (x >= 0) assert_int_equal(a.caches[x].bytes, b.caches[y].bytes);
        }
    }
    assert_true(a.n_cores <= b.n_cores && a.n_packages <= b.n_packages);
    bg_topology_close(&a);
    bg_topology_close(&b);
}

static void where_am_i(void *user, int member, int size)
{
    cpu_set_t set;
    (void)size;
    sched_getaffinity(0, sizeof set, &set);
    ((int *)user)[member] = CPU_COUNT(&set) == 1 ? sched_getcpu() : -1;
}

static void test_bind(void **state)
{
    int cpus[2] = {-1, -1};
    bg_machine *m;
    bg_team *team;
    bg_error err;
    (void)state;
    assert_ok(bg_machine_open(&m, NULL, &err), &err);
    assert_ok(bg_team_open(&team, 2, bg_machine_bind, m, &err), &err);
    bg_team_run(team, where_am_i, cpus);
    bg_team_close(&team);
    assert_true(cpus[0] >= 0 && cpus[1] >= 0);
    if (m->n_cpus > 1) assert_int_not_equal(cpus[0], cpus[1]);
    bg_machine_close(&m);
    /* This thread is bound now; a machine opened later still has all of its cores. */
    assert_ok(bg_machine_open(&m, NULL, &err), &err);
    if (cpus[0] != cpus[1]) assert_true(m->n_cpus > 1);
    bg_machine_close(&m);
}

static bool stop_soon(void *user, uint64_t done, uint64_t total)
{
    assert_true(done <= total);
    return --*(int *)user > 0;
}

static void check_gauge(const bg_machine *m, bg_roof_kind kind, const char *level, const char *isa,
                        size_t least_bytes)
{
    bg_gauge *g;
    bg_error err;
    double reading;
    if (isnan(bg_machine_roof(m, kind, level, isa, 1))) { /* the memory may not be there */
        assert_fails(bg_gauge_open(&g, m, NULL, kind, level, isa, &err), BG_ERR_UNSUPPORTED,
                     "not measured", &err);
        assert_null(g);
        return;
    }
    if (bg_gauge_open(&g, m, NULL, kind, level, isa, &err) == BG_ERR_NOMEM) return;
    assert_non_null(g);
    assert_true(bg_gauge_bytes(g) >= least_bytes);
    for (int i = 0; i < 3; i++) {
        reading = bg_gauge_read(g, 0.002);
        assert_true(reading > 0 && reading < 100); /* of it is the roof made: anything but odd */
    }
    bg_gauge_close(&g);
    assert_null(g);
    assert_int_equal(bg_gauge_bytes(g), 0);
}

static void test_roofs(void **state)
{
    static const char *const levels[] = {"L1", "L2", "L3", "memory"};
    int steps = 3;
    cpu_set_t before, after;
    bg_machine *m;
    bg_error err;
    (void)state;
    assert_ok(bg_machine_open(&m, &(bg_machine_options){.progress = stop_soon, .user = &steps},
                              &err), &err);
    sched_getaffinity(0, sizeof before, &before);
    assert_fails(bg_machine_measure(m, 2, &err), BG_ERR_INTERRUPTED, "interrupted", &err);
    bg_machine_close(&m);
    assert_ok(bg_machine_open(&m, NULL, &err), &err);
    assert_ok(bg_machine_measure(m, 1, &err), &err);
    sched_getaffinity(0, sizeof after, &after);
    assert_true(CPU_EQUAL(&before, &after));
    for (size_t i = 0; i < BG_COUNT(levels); i++) {
        double roof = bg_machine_roof(m, BG_ROOF_READ, levels[i], NULL, 1);
        if (i < 3 && !bg_machine_cache_bytes(m, (int)i + 1)) assert_true(isnan(roof));
        else if (!isnan(roof)) assert_true(roof > 0.1 && roof < 1e5);
        assert_true(isnan(bg_machine_roof(m, BG_ROOF_READ, levels[i], NULL, 2)));
    }
    assert_true(bg_machine_roof(m, BG_ROOF_FLOP, NULL, "ref", 1) > 0.1);
    assert_true(bg_machine_roof(m, BG_ROOF_INT8, NULL, "ref", 1) > 0.1);
    assert_true(isnan(bg_machine_roof(m, BG_ROOF_FLOP, NULL, "nonesuch", 1)));
    check_gauge(m, BG_ROOF_READ, "L1", NULL, bg_machine_cache_bytes(m, 1) / 4);
    check_gauge(m, BG_ROOF_READ, "memory", NULL, (size_t)256 << 20);
    check_gauge(m, BG_ROOF_FLOP, NULL, "ref", 0);
    bg_machine_close(&m);
}

static double faulting(uint64_t n)
{
    (void)n;
    __builtin_trap();
}
static double wrong(uint64_t n) { return (double)n; }

static void test_isas(void **state)
{
    char reason[96];
    bg_isa_probe probe = bg_isa_probes[0];
    bg_machine *m;
    bg_error err;
    (void)state;
    assert_true(bg_isa_try(&probe, reason, sizeof reason));
    probe.flop.run = faulting;
    assert_false(bg_isa_try(&probe, reason, sizeof reason));
    assert_non_null(strstr(reason, "faults"));
    probe.flop = (bg_peak){wrong, 1, 3};
    assert_false(bg_isa_try(&probe, reason, sizeof reason));
    assert_non_null(strstr(reason, "wrong"));
    assert_ok(bg_machine_open(&m, NULL, &err), &err);
    for (size_t i = 0; bg_isa_probes[i].name; i++)
        assert_true(m->isas[i].usable != (m->isas[i].reason[0] != 0));
#if defined(__x86_64__)
    assert_int_equal(m->isas[1].usable,
                     __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
#endif
    bg_machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested_groups), cmocka_unit_test(test_half_a_cpu),
        cmocka_unit_test(test_v1), cmocka_unit_test(test_hybrid), cmocka_unit_test(test_noise),
        cmocka_unit_test(test_json), cmocka_unit_test(test_xml), cmocka_unit_test(test_sysfs),
        cmocka_unit_test(test_readers_agree), cmocka_unit_test(test_isas),
        cmocka_unit_test(test_roofs), cmocka_unit_test(test_bind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
