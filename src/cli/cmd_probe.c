#include "cli/cli.h"

#include "bitgauge/counters.h"
#include "bitgauge/machine.h"
#include "bitgauge/noise.h"

#include <jansson.h>
#include <string.h>

static bool show_progress(void *user, uint64_t done, uint64_t total)
{
    bg_cli_progress_show(user, (double)done / (double)total);
    return !bg_cli_interrupted();
}

typedef struct request { int threads; bool quick, noise; double seconds; } request;

/* Both are of the room that runs sweeps, which a build may lack. */
#ifdef BG_HAVE_HARNESS
static bg_status calibrate(bg_machine *m, const bg_calibration *c, bg_error *err)
{
    return bg_noise_calibrate(m, c, err);
}

static char *disturbances(const bg_machine *m, bg_team *team, const bg_counters *counters)
{
    return bg_disturbances_json(m, team, counters);
}
#else
static bg_status calibrate(bg_machine *m, const bg_calibration *c, bg_error *err)
{
    (void)m;
    (void)c;
    return bg_fail(err, BG_ERR_UNSUPPORTED, "--noise", "runs a model, which this build cannot");
}

static char *disturbances(const bg_machine *m, bg_team *team, const bg_counters *counters)
{
    (void)m;
    (void)team;
    (void)counters;
    return NULL;
}
#endif

/* Measures noise floors, or takes those that were measured before. */
static bg_status find_floors(bg_machine *m, const request *r, bg_error *err)
{
    bg_cli_progress progress = {.what = "measuring noise"};
    bg_calibration c = {.seconds = r->seconds, .threads = r->threads, .progress = show_progress,
                        .user = &progress};
    char *path = bg_machine_floors_path(m);
    bg_error why;
    bg_status s = BG_OK;
    if (r->noise)
        s = calibrate(m, &c, err);
    else if (path && bg_file_exists(path) && bg_machine_read_floors(m, path, &why) != BG_OK)
        bg_log(BG_LOG_WARN, "noise floors are left out: %s: %s", why.where, why.message);
    bg_cli_progress_end(&progress);
    bg_free_text(path);
    return s;
}

/* machine.json's text: roofs unless quick, and what each counter says on a bound team. */
static bg_status describe(bg_machine *m, const request *r, char **text, bg_error *err)
{
    int threads = r->threads;
    bg_team *team = NULL;
    bg_counters *counters = NULL;
    bg_machine_notes notes = {0};
    bg_status s = r->quick ? BG_OK : bg_machine_measure(m, threads, err);
    if (s == BG_OK) s = find_floors(m, r, err);
    if (s == BG_OK) s = bg_team_open(&team, threads, bg_machine_bind, m, err);
    if (s == BG_OK) s = bg_counters_open(&counters, &(bg_counters_options){.team = team}, err);
    if (s == BG_OK) s = bg_counters_json(counters, &notes.counters, &notes.energy, err);
    if (s == BG_OK) notes.disturbances = disturbances(m, team, counters);
    if (s == BG_OK) s = bg_machine_json(m, &notes, text, err);
    bg_machine_notes_fini(&notes);
    bg_counters_close(&counters);
    bg_team_close(&team);
    return s;
}

static bg_status save(const bg_machine *m, const char *dir, const char *text, bg_error *err)
{
    char *json = bg_path_join(dir, "machine.json"), *xml = bg_path_join(dir, "machine.xml");
    bg_status s = json && xml ? bg_dir_create(dir, err) : bg_fail_nomem(err, dir, strlen(dir));
    if (s == BG_OK && bg_machine_has_xml(m)) s = bg_machine_write_xml(m, xml, err);
    if (s == BG_OK) s = bg_file_write(json, text, strlen(text), err);
    bg_free(json);
    bg_free(xml);
    return s;
}

/* Keeps what was measured for the sweeps to come; without it, they have --noise-from. */
static void keep_floors(const bg_machine *m, const char *text)
{
    char *path = bg_machine_floors_path(m), *slash = path ? strrchr(path, '/') : NULL;
    bg_error why = {.message = "neither XDG_CACHE_HOME nor HOME is set"};
    bool kept = false;
    if (slash) {
        *slash = 0;
        kept = bg_dir_create(path, &why) == BG_OK;
        *slash = '/';
        kept = kept && bg_file_write(path, text, strlen(text), &why) == BG_OK;
    }
    if (kept) fprintf(stderr, "bitgauge: sweeps take the noise floors from %s\n", path);
    else bg_log(BG_LOG_WARN, "the noise floors are not kept for sweeps (%s)", why.message);
    bg_free_text(path);
}

/* The rest prints machine.json for people, so that both say the same. */

static const char *string_of(const json_t *o, const char *key, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : otherwise;
}

static json_int_t integer_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static double real_of(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static bool absent(const json_t *o, const char *key)
{
    return json_is_null(json_object_get(o, key));
}

/* "2 cores", "1 package". */
static void print_count(const json_t *o, const char *key, const char *what, const char *after)
{
    json_int_t n = integer_of(o, key);
    printf("%lld %s%s%s", (long long)n, what, n == 1 ? "" : "s", after);
}

static void print_size(const json_t *o, const char *key)
{
    char text[32];
    printf("%s", bg_format_size(text, sizeof text, real_of(o, key)));
}

static void print_cpu(const json_t *root)
{
    const json_t *cpu = json_object_get(root, "cpu"), *os = json_object_get(root, "os"), *one;
    size_t i;
    printf("CPU       %s (%s, %s)%s, %s %s\n", string_of(cpu, "model", "unknown model"),
           string_of(cpu, "vendor", "unknown vendor"), string_of(cpu, "arch", "?"),
           json_is_true(json_object_get(root, "virtual")) ? ", virtual machine" : "",
           string_of(os, "name", ""), string_of(os, "release", ""));
    printf("Topology  ");
    print_count(cpu, "packages", "package", ", ");
    print_count(cpu, "numa_nodes", "NUMA node", ", ");
    print_count(cpu, "cores", "core", ", ");
    print_count(cpu, "threads", "hardware thread", "\n");
    if (strcmp(string_of(root, "topology", ""), "sysfs") == 0)
        printf("          as /sys shows it: built without hwloc, so no machine.xml is written\n");
    json_array_foreach(json_object_get(cpu, "core_kinds"), i, one) {
        printf("          %lld %s cores", (long long)integer_of(one, "cores"),
               string_of(one, "type", "unnamed"));
        if (!absent(one, "max_mhz"))
            printf(", up to %lld MHz", (long long)integer_of(one, "max_mhz"));
        printf("\n");
    }
    printf("Caches    ");
    json_array_foreach(json_object_get(cpu, "caches"), i, one) {
        const char *type = string_of(one, "type", "");
        double kib = real_of(one, "bytes") / 1024;
        printf("%sL%lld%s %lld x %g %s", i ? ", " : "", (long long)integer_of(one, "level"),
               strcmp(type, "data") == 0 ? "d" : strcmp(type, "instruction") == 0 ? "i" : "",
               (long long)integer_of(one, "count"), kib < 1024 ? kib : kib / 1024,
               kib < 1024 ? "KiB" : "MiB");
    }
    printf("%s\n", i ? "" : "none reported");
}

static void print_limits(const json_t *root)
{
    const json_t *limits = json_object_get(root, "limits");
    const json_t *memory = json_object_get(root, "memory");
    printf("Memory    ");
    print_size(memory, "available");
    printf(" available of ");
    print_size(memory, "total");
    if (!absent(limits, "memory_limit")) {
        printf(", cgroup limit ");
        print_size(limits, "memory_limit");
    }
    printf("\nLimits    ");
    print_count(limits, "cores", "core", " and ");
    print_count(limits, "affinity", "hardware thread", " usable, ");
    if (absent(limits, "cpu_quota")) printf("no CPU quota");
    else printf("CPU quota %.2f", real_of(limits, "cpu_quota"));
    printf("; default is ");
    print_count(limits, "default_threads", "thread", "\n");
}

static void print_isas(const json_t *root)
{
    const json_t *isas = json_object_get(root, "isas"), *one;
    size_t i;
    printf("ISAs      ");
    json_array_foreach(isas, i, one)
        if (json_is_true(json_object_get(one, "usable"))) printf("%s ", string_of(one, "name", ""));
    printf("(each was tried)\n");
    json_array_foreach(isas, i, one)
        if (!json_is_true(json_object_get(one, "usable")))
            printf("          not %s: %s\n", string_of(one, "name", ""),
                   string_of(one, "reason", ""));
}

static void print_noise(const json_t *root)
{
    const json_t *timer = json_object_get(root, "timer"), *noise = json_object_get(root, "noise");
    printf("Timer     smallest step ");
    if (absent(timer, "smallest_step_ns")) printf("unknown");
    else printf("%lld ns", (long long)integer_of(timer, "smallest_step_ns"));
    printf(", a reading costs %.0f ns\n", real_of(timer, "read_ns"));
    printf("Noise     steal ");
    if (absent(noise, "steal_ratio")) printf("unknown");
    else printf("%.2f %%", 100 * real_of(noise, "steal_ratio"));
    if (!absent(noise, "load1")) printf(", load %.2f", real_of(noise, "load1"));
    printf(", governor %s, ", string_of(noise, "governor", "not shown"));
    if (absent(noise, "thermal_events")) printf("throttling by heat not shown\n");
    else print_count(noise, "thermal_events", "throttling event", "\n");
}

static const json_t *roof_at(const json_t *roofs, const json_t *like, json_int_t threads)
{
    const json_t *one;
    size_t i;
    json_array_foreach(roofs, i, one)
        if (integer_of(one, "threads") == threads &&
            json_equal(json_object_get(one, "kind"), json_object_get(like, "kind")) &&
            json_equal(json_object_get(one, "level"), json_object_get(like, "level")) &&
            json_equal(json_object_get(one, "isa"), json_object_get(like, "isa")))
            return one;
    return NULL;
}

static void print_value(const json_t *roof)
{
    if (!roof || absent(roof, "value")) printf(" %12s", "-");
    else printf(" %12.1f", real_of(roof, "value"));
}

/* Of a table with a column for one thread and one for the most that the list has; returns that. */
static json_int_t print_heading(const json_t *list, const char *title, const char *unit)
{
    json_int_t all = 1;
    char heading[32];
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one) all = BG_MAX(all, integer_of(one, "threads"));
    snprintf(heading, sizeof heading, "%lld threads", (long long)all);
    printf("\n%-33s %8s %12s %12s\n", title, unit, "1 thread", all > 1 ? heading : "");
    return all;
}

static void print_roofs(const json_t *root)
{
    static const struct { const char *kind, *title; } kinds[] = {
        {"read", "read"}, {"flop", "multiply-add, float"}, {"int8op", "multiply-add, int8"},
    };
    const json_t *roofs = json_object_get(root, "roofs"), *one;
    json_int_t all;
    size_t i;
    if (!json_array_size(roofs)) return;
    all = print_heading(roofs, "Roofs (best seen)", "unit");
    for (size_t k = 0; k < BG_COUNT(kinds); k++) {
        json_array_foreach(roofs, i, one) {
            if (strcmp(string_of(one, "kind", ""), kinds[k].kind) != 0 ||
                integer_of(one, "threads") != 1)
                continue;
            printf("  %-20s %-10s %8s", kinds[k].title,
                   string_of(one, "level", string_of(one, "isa", "")), string_of(one, "unit", ""));
            print_value(one);
            if (all > 1) print_value(roof_at(roofs, one, all));
            if (!absent(one, "reason")) printf("  %s", string_of(one, "reason", ""));
            printf("\n");
        }
    }
}

static const json_t *floor_at(const json_t *floors, const json_t *kind, json_int_t threads)
{
    const json_t *one;
    size_t i;
    json_array_foreach(floors, i, one)
        if (integer_of(one, "threads") == threads && json_equal(json_object_get(one, "kind"), kind))
            return one;
    return NULL;
}

static void print_floors(const json_t *root)
{
    const json_t *floors = json_object_get(root, "noise_floors"), *one, *other;
    json_int_t all;
    size_t i;
    if (!json_array_size(floors)) return;
    all = print_heading(floors, "Noise floors (estimates)", "");
    json_array_foreach(floors, i, one) {
        if (integer_of(one, "threads") != 1) continue;
        printf("  %-40s %10.1f %%", string_of(one, "kind", ""), 100 * real_of(one, "floor"));
        other = all > 1 ? floor_at(floors, json_object_get(one, "kind"), all) : NULL;
        if (other) printf(" %10.1f %%", 100 * real_of(other, "floor"));
        printf("\n");
    }
    one = json_array_get(floors, 0);
    printf("  Of identical work that is measured twice, about 1 comparison in 100 differs by "
           "more.\n  From %lld pairs of measurements in %.0f s, %s\n",
           (long long)integer_of(one, "pairs"), real_of(one, "seconds"),
           string_of(one, "measured", "at an unknown time"));
}

/* A line a rule that cannot watch, and whether another of its cause does. */
static void print_unwatched(const json_t *root)
{
    const json_t *list = json_object_get(root, "disturbances"), *one, *other;
    size_t i, k;
    json_array_foreach(list, i, one) {
        bool in_part = false;
        if (json_is_true(json_object_get(one, "watched"))) continue;
        json_array_foreach(list, k, other)
            if (json_equal(json_object_get(one, "cause"), json_object_get(other, "cause")))
                in_part = in_part || json_is_true(json_object_get(other, "watched"));
        printf("          %s watched: %s (%s)\n", in_part ? "in part" : "not",
               string_of(one, "cause", ""), string_of(one, "reason", ""));
    }
}

static bool same_source(const json_t *a, const json_t *b)
{
    return json_equal(json_object_get(a, "backend"), json_object_get(b, "backend")) &&
           json_equal(json_object_get(a, "status"), json_object_get(b, "status")) &&
           json_equal(json_object_get(a, "reason"), json_object_get(b, "reason"));
}

/* Words after a margin of `indent`, broken before column 100. */
static void print_wrapped(const char *text, size_t indent, size_t *column)
{
    while (*text) {
        size_t n = strcspn(text, " ");
        if (*column + 1 + n > 100 && *column > indent) {
            printf("\n%*s", (int)indent, "");
            *column = indent;
        }
        printf("%s%.*s", *column > indent ? " " : "", (int)n, text);
        *column += n + (*column > indent);
        text += n + strspn(text + n, " ");
    }
}

/* Counters of one backend with one reason share a paragraph. */
static void print_counters(const char *title, const json_t *array)
{
    enum { INDENT = 25 };
    const json_t *one, *other;
    size_t i, j;
    printf("\n%s\n", title);
    json_array_foreach(array, i, one) {
        size_t column = INDENT;
        bool first = true;
        for (j = 0; j < i && first; j++) first = !same_source(json_array_get(array, j), one);
        if (!first) continue;
        printf("  %-10s %-12s", string_of(one, "backend", "-"), string_of(one, "status", ""));
        json_array_foreach(array, j, other)
            if (same_source(one, other))
                print_wrapped(string_of(other, "name", ""), INDENT, &column);
        if (!absent(one, "reason")) {
            printf("\n%*s", INDENT, "");
            column = INDENT;
            print_wrapped(string_of(one, "reason", ""), INDENT, &column);
        }
        printf("\n");
    }
}

static bg_status print_machine(const char *text, bg_error *err)
{
    json_t *root = json_loads(text, 0, NULL);
    if (!root) return bg_fail_nomem(err, "machine.json", strlen(text));
    print_cpu(root);
    print_limits(root);
    print_isas(root);
    print_noise(root);
    print_unwatched(root);
    print_roofs(root);
    print_floors(root);
    print_counters("Counters", json_object_get(root, "counters"));
    print_counters("Energy", json_object_get(root, "energy"));
    json_decref(root);
    return BG_OK;
}

int bg_cmd_probe(int argc, char **argv)
{
    request r = {.seconds = 60};
    bool json = false;
    const char *out = NULL;
    int status;
    const bg_opt options[] = {
        {BG_OPT_INT, "-t --threads", "N", "threads of the roofs (default: one a usable core)",
         &r.threads, NULL, 1, 4096},
        {BG_OPT_FLAG, "--quick", NULL, "skip the roofs, which take two or three seconds", &r.quick,
         NULL, 0, 0},
        {BG_OPT_FLAG, "--noise", NULL, "measure how far identical work differs here, for compare",
         &r.noise, NULL, 0, 0},
        {BG_OPT_REAL, "--seconds", "S", "time for --noise (default 60)", &r.seconds, NULL, 1,
         86400},
        {BG_OPT_TEXT, "-o --out", "DIR", "write machine.json and, if built with hwloc, machine.xml "
         "to DIR", &out, NULL, 0, 0},
        {BG_OPT_FLAG, "--json", NULL, "print machine.json", &json, NULL, 0, 0},
    };
    const bg_opt_spec spec = {
        .command = "probe", .usage = "[options]",
        .summary = "Shows what this machine is and what it can reach: topology, limits, "
                   "instruction sets that\nwork, measured roofs, noise, and which counters and "
                   "energy meters can be read.",
        .examples = "  bitgauge probe\n  bitgauge probe --quick --json\n"
                    "  bitgauge probe --noise       # once, before sweeps that are to be compared\n",
        .options = options, .n_options = BG_COUNT(options),
    };
    bg_cli_progress progress = {.what = "measuring roofs"};
    bg_machine_options o = {.progress = show_progress, .user = &progress};
    bg_machine *m = NULL;
    char *text = NULL;
    bg_error err;
    bg_status s;
    status = bg_opt_parse(&spec, argc, argv, NULL, NULL);
    if (status >= 0) return status;
    bg_cli_catch_interrupt();
    s = out ? bg_dir_create(out, &err) : BG_OK;
    if (s == BG_OK) s = bg_machine_open(&m, &o, &err);
    if (s == BG_OK && !r.threads) r.threads = bg_machine_default_threads(m);
    if (s == BG_OK) s = describe(m, &r, &text, &err);
    bg_cli_progress_end(&progress);
    if (s == BG_OK && r.noise) keep_floors(m, text);
    if (s == BG_OK && out) s = save(m, out, text, &err);
    if (s == BG_OK && json) fputs(text, stdout);
    else if (s == BG_OK) s = print_machine(text, &err);
    bg_free_text(text);
    bg_machine_close(&m);
    return s == BG_OK ? BG_EXIT_OK : bg_cli_fail(&err);
}
