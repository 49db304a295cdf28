/* Disturbances over trees of /proc and /sys that are rewritten while "something runs". */
#include "test.h"

#include "base/file.h"
#include "harness/taint.h"
#include "machine/topology.h"

#include <ftw.h>
#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static cpu_set_t all;
static char root[64], sys_root[96], proc_root[96];
static const char topology[] = BG_FIXTURES "/machine/hybrid/topology.xml";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* A busy machine moves threads that are not bound. */
static int make_root(void **state)
{
    cpu_set_t one;
    (void)state;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    if (sched_getaffinity(0, sizeof all, &all) != 0 || sched_setaffinity(0, sizeof one, &one) != 0)
        return -1;
    strcpy(root, "/tmp/bitgauge-taint-XXXXXX");
    if (!mkdtemp(root)) return -1;
    snprintf(sys_root, sizeof sys_root, "%s/sys", root);
    snprintf(proc_root, sizeof proc_root, "%s/proc", root);
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    if (access(root, F_OK) != 0) return 0;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *dir, const char *file, const char *text)
{
    char path[256];
    bg_error err;
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", root, dir);
    assert_ok(bg_dir_create(path, &err), &err);
    strcat(strcat(path, "/"), file);
    f = fopen(path, "w"); /* bg_file_write waits for the disk */
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* The same for every CPU: a thread may be on any. */
static void put_cpus(const char *folder, const char *file, const char *text)
{
    for (int cpu = 0; cpu < (int)sysconf(_SC_NPROCESSORS_CONF) || cpu < 24; cpu++) {
        char dir[128];
        snprintf(dir, sizeof dir, "sys/devices/system/cpu/cpu%d/%s", cpu, folder);
        put(dir, file, text);
    }
}

/* A machine without noise, all of which can be seen. */
static void put_quiet(void)
{
    put("proc", "stat", "cpu  1000 0 100 8000 0 0 0 50 30 0\n");
    put("proc/self", "cgroup", "0::/\n");
    put("proc/thread-self", "schedstat", "1000000 500 12\n");
    put("sys/fs/cgroup", "cpu.stat", "usage_usec 1\nnr_periods 9\nnr_throttled 3\n");
    put_cpus("thermal_throttle", "core_throttle_count", "7\n");
    put_cpus("thermal_throttle", "package_throttle_count", "2\n");
    put_cpus("cpufreq", "scaling_cur_freq", "3000000\n");
}

typedef struct rig { bg_machine *machine; bg_counters *counters; bg_taints *taints; } rig;

static rig open_rig(void)
{
    bg_error err;
    rig r;
    if (!bg_have_hwloc) skip();
    assert_ok(bg_machine_open(&r.machine, &(bg_machine_options){.sysfs_root = sys_root,
                              .procfs_root = proc_root, .topology_xml = topology}, &err), &err);
    assert_ok(bg_counters_open(&r.counters, &(bg_counters_options){.sysfs_root = sys_root,
                               .procfs_root = proc_root}, &err), &err);
    assert_ok(bg_taints_open(&r.taints, r.machine, NULL, r.counters, &err), &err);
    return r;
}

static void close_rig(rig *r)
{
    bg_taints_close(&r->taints);
    bg_counters_close(&r->counters);
    bg_machine_close(&r->machine);
}

static bg_sample sample_of(double involuntary, double migrations, double major)
{
    bg_sample s = {.seconds = 0.1};
    for (int i = 0; i < BG_COUNTER_COUNT; i++) s.counters[i] = NAN;
    s.counters[BG_COUNTER_SWITCH_INVOL] = involuntary;
    s.counters[BG_COUNTER_MIGRATIONS] = migrations;
    s.counters[BG_COUNTER_MAJOR_FAULTS] = major;
    return s;
}

/* Whether a cause is in the list, and what else is; the loop of fixed work is timed for real, so
 * that a change of frequency may be there at any time. */
static void assert_tainted(const bg_sample *s, const char *cause)
{
    char copy[sizeof s->tainted], *rest = copy, *word;
    bool found = false;
    strcpy(copy, s->tainted);
    while ((word = strsep(&rest, ",")) != NULL) {
        if (strcmp(word, cause) == 0) found = true;
        else if (*word && strcmp(word, "frequency") != 0) fail_msg("tainted by %s", s->tainted);
    }
    if (!found && *cause) fail_msg("not tainted by %s but '%s'", cause, s->tainted);
}

static void each_cause_has_its_rule(void **state)
{
    static const struct {
        const char *cause, *dir, *file, *text;      /* what is rewritten meanwhile */
        double involuntary, migrations, major;
    } cases[] = {
        {"", "proc", "stat", "cpu  1090 0 110 8000 0 0 0 51 30 0\n", 12, 0, 0},
        {"steal", "proc", "stat", "cpu  1090 0 100 8000 0 0 0 60 30 0\n", 0, 0, 0},
        {"steal", "proc", "stat", "cpu  1100 0 100 8000 0 0 0 50 60 0\n", 0, 0, 0},
        {"preemption", "proc/thread-self", "schedstat", "2000000 90000000500 13\n", 0, 0, 0},
        {"preemption", "proc", "loadavg", "1 1 1 1/2 3\n", 13, 0, 0},
        {"migration", "proc", "loadavg", "1 1 1 1/2 3\n", 0, 1, 0},
        {"throttling", "sys/fs/cgroup", "cpu.stat", "nr_throttled 4\n", 0, 0, 0},
        {"faults", "proc", "loadavg", "1 1 1 1/2 3\n", 0, 0, 1},
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(cases); i++) {
        bg_sample s = sample_of(cases[i].involuntary, cases[i].migrations, cases[i].major);
        rig r;
        put_quiet();
        r = open_rig();
        bg_taints_begin(r.taints);
        put(cases[i].dir, cases[i].file, cases[i].text);
        bg_taints_end(r.taints, &s);
        assert_tainted(&s, cases[i].cause);
        close_rig(&r);
    }
}

static void heat_and_clock(void **state)
{
    bg_sample s = sample_of(0, 0, 0);
    rig r;
    (void)state;
    put_quiet();
    r = open_rig();
    bg_taints_begin(r.taints);
    put_cpus("thermal_throttle", "package_throttle_count", "3\n");
    bg_taints_end(r.taints, &s);
    assert_tainted(&s, "throttling");
    bg_taints_begin(r.taints);
    put_cpus("cpufreq", "scaling_cur_freq", "2800000\n");
    bg_taints_end(r.taints, &s);
    assert_tainted(&s, "frequency");
    close_rig(&r);
}

/* Several causes make a list in which each is named once. */
static void causes_are_a_list(void **state)
{
    bg_sample s = sample_of(1000, 2, 0);
    rig r;
    (void)state;
    put_quiet();
    r = open_rig();
    bg_taints_begin(r.taints);
    put("proc", "stat", "cpu  1200 0 100 8000 0 0 0 90 90 0\n");
    put_cpus("cpufreq", "scaling_cur_freq", "2800000\n");
    put("sys/fs/cgroup", "cpu.stat", "nr_throttled 4\n");
    bg_taints_end(r.taints, &s);
    assert_string_equal(s.tainted, "steal,preemption,migration,throttling,frequency");
    assert_true(fabs(s.steal_ratio - 40.0 / 240) < 1e-12);
    close_rig(&r);
}

static void a_moved_thread_is_seen(void **state)
{
    bg_sample s = sample_of(0, NAN, 0);
    cpu_set_t before, one;
    int cpus[2], n = 0;
    rig r;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
        if (CPU_ISSET((size_t)i, &all)) cpus[n++] = i;
    if (n < 2) skip();
    put_quiet();
    r = open_rig();
    for (int i = 0; i < 2; i++) {
        CPU_ZERO(&one);
        CPU_SET((size_t)cpus[i], &one);
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
        if (i == 0) bg_taints_begin(r.taints);
    }
    bg_taints_end(r.taints, &s);
    sched_setaffinity(0, sizeof before, &before);
    assert_tainted(&s, "migration");
    close_rig(&r);
}

/* What cannot be read is said to be not watched, with the reason, and taints nothing. */
static void unreadable_is_not_clean(void **state)
{
    static const struct { const char *word; bool watched; } rules[] = {
        {"hypervisor", false}, {"guests", false}, {"schedstat", false}, {"getrusage", true},
        {"getcpu", true}, {"thermal_throttle", false}, {"quota", false},
        {"scaling_cur_freq", false}, {"fixed work", true}, {"major", true},
    };
    bg_sample s = sample_of(NAN, NAN, NAN);
    json_t *array, *one;
    char *text;
    size_t i;
    rig r;
    (void)state;
    remove_root(NULL);
    r = open_rig();
    text = bg_taints_json(r.taints);
    assert_non_null(text);
    array = json_loads(text, 0, NULL);
    bg_free_text(text);
    assert_non_null(array);
    for (size_t k = 0; k < BG_COUNT(rules); k++) {
        bool found = false;
        json_array_foreach(array, i, one) {
            if (!strstr(json_string_value(json_object_get(one, "rule")), rules[k].word)) continue;
            found = true;
            assert_int_equal(json_is_true(json_object_get(one, "watched")), rules[k].watched);
            assert_int_equal(json_is_string(json_object_get(one, "reason")), !rules[k].watched);
        }
        if (!found) fail_msg("no rule about %s", rules[k].word);
    }
    json_decref(array);
    bg_taints_begin(r.taints);
    bg_taints_end(r.taints, &s);
    assert_tainted(&s, "");
    assert_true(isnan(s.steal_ratio));
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cause_has_its_rule), cmocka_unit_test(heat_and_clock),
        cmocka_unit_test(causes_are_a_list), cmocka_unit_test(a_moved_thread_is_seen),
        cmocka_unit_test(unreadable_is_not_clean),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
