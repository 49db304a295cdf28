/* Hardware events by PAPI, counted on every member of the team and summed.
 *
 * An event is believed only after it was added, started and read under a load that causes it.
 * What the PMU can count at once is one group; when there are more, regions take the groups in
 * turn and a counter of another group is absent for that region. Nothing is multiplexed. */
#include "counters/backend.h"

#include "base/sysfs.h"

#if BG_HAVE_PAPI
#include <papi.h>
#include <pthread.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { MAX_GROUPS = 4, MAX_EVENTS = 8, MAX_NAMES = 3 };

/* By importance: the first group holds as many of the first as fit. The better name first. */
static const struct want {
    bg_counter id;
    bool may_be_zero;
    const char *names[MAX_NAMES];
} wants[] = {
    {BG_COUNTER_CYCLES, false, {"PAPI_TOT_CYC", "perf::CYCLES"}},
    {BG_COUNTER_INSTRUCTIONS, false, {"PAPI_TOT_INS", "perf::INSTRUCTIONS"}},
    {BG_COUNTER_L3_MISSES, false, {"PAPI_L3_TCM", "perf::CACHE-MISSES"}},
    {BG_COUNTER_BRANCH_MISSES, false, {"PAPI_BR_MSP", "perf::BRANCH-MISSES"}},
    {BG_COUNTER_L1D_MISSES, false, {"PAPI_L1_DCM", "PAPI_L1_LDM", "perf::L1-DCACHE-LOAD-MISSES"}},
    {BG_COUNTER_L2_MISSES, false, {"PAPI_L2_TCM", "PAPI_L2_DCM"}},
    {BG_COUNTER_DTLB_MISSES, false, {"PAPI_TLB_DM", "perf::DTLB-LOAD-MISSES"}},
    {BG_COUNTER_MIGRATIONS, true, {"perf::CPU-MIGRATIONS:u=1:k=1"}},
};

typedef struct group {
    size_t n;
    bg_counter ids[MAX_EVENTS];
    int codes[MAX_EVENTS];
    bool may_be_zero[MAX_EVENTS];
    const char *names[MAX_EVENTS];
} group;

typedef struct member {
    _Alignas(64) int sets[MAX_GROUPS];
    int status;                    /* PAPI's, of the last call */
    long long values[MAX_EVENTS];
} member;

typedef struct papi {
    bg_team *team;
    group groups[MAX_GROUPS];
    size_t n_groups, turn;
    member *members;
} papi;

/* Causes every event of the table: unpredictable branches, and loads that miss all caches. */
static void load_machine(void)
{
    enum { BYTES = 16 << 20, STRIDE = 4096 + 64 };
    uint64_t sum = 0;
    char *buffer = bg_alloc_large(BYTES);
    bg_rng rng;
    bg_rng_seed(&rng, 1);
    for (int i = 0; i < 20000; i++)
        if (bg_rng_u64(&rng) & 1) __asm__ volatile("" : "+r"(sum)); /* keeps the branch */
    if (!buffer) return;
    for (size_t i = 0; i < BYTES; i += STRIDE) buffer[i] = 1;
#if defined(__x86_64__)
    for (size_t i = 0; i < BYTES; i += STRIDE) _mm_clflush(buffer + i);
    _mm_mfence();
#endif
    for (size_t i = 0; i < BYTES; i += STRIDE) sum += (uint64_t)buffer[i];
    __asm__ volatile("" : : "r"(sum)); /* and the loads */
    bg_free_large(buffer, BYTES);
}

static int create_set(const group *g, int *set)
{
    int status = PAPI_create_eventset(set);
    for (size_t i = 0; i < g->n && status == PAPI_OK; i++)
        status = PAPI_add_event(*set, g->codes[i]);
    return status;
}

static void destroy_set(int *set)
{
    if (*set == PAPI_NULL) return;
    PAPI_cleanup_eventset(*set);
    PAPI_destroy_eventset(set);
}

/* NULL when all events of the group count at once on this thread. */
static const char *try_group(const group *g)
{
    long long values[MAX_EVENTS] = {0};
    int set = PAPI_NULL, status = create_set(g, &set);
    if (status == PAPI_OK) status = PAPI_start(set);
    if (status == PAPI_OK) {
        load_machine();
        status = PAPI_stop(set, values);
    }
    destroy_set(&set);
    if (status != PAPI_OK) return PAPI_strerror(status);
    for (size_t i = 0; i < g->n; i++)
        if (values[i] <= 0 && !g->may_be_zero[i]) return "reads 0 under a load that causes it";
    return NULL;
}

/* Adds the event to the first group that it fits in. */
static const char *place(papi *p, const struct want *w, const char *name)
{
    group alone = {.n = 1, .ids = {w->id}, .may_be_zero = {w->may_be_zero}, .names = {name}};
    const char *reason;
    int status = PAPI_event_name_to_code(name, &alone.codes[0]);
    if (status != PAPI_OK) return PAPI_strerror(status);
    if ((reason = try_group(&alone)) != NULL) return reason;
    for (size_t i = 0; i < p->n_groups; i++) {
        group larger = p->groups[i];
        if (larger.n == MAX_EVENTS) continue;
        larger.ids[larger.n] = w->id;
        larger.codes[larger.n] = alone.codes[0];
        larger.names[larger.n] = name;
        larger.may_be_zero[larger.n++] = w->may_be_zero;
        if (try_group(&larger)) continue;
        p->groups[i] = larger;
        return NULL;
    }
    if (p->n_groups == MAX_GROUPS) return "the PMU has too few counters";
    p->groups[p->n_groups++] = alone;
    return NULL;
}

/* What the user can do about a refusal. */
static const char *advice(const bg_counters *c, char *text, size_t n)
{
    static const char *const pmus[] = {"cpu", "armv", "apple", "riscv"};
    char setting[16], **names;
    size_t devices = bg_sysfs_list(&names, bg_counters_sysfs(c), "bus/event_source/devices", ""), i;
    bool pmu = devices == 0; /* nothing to be seen says nothing */
    for (i = 0; i < devices; i++)
        for (size_t k = 0; k < BG_COUNT(pmus); k++)
            pmu |= strncmp(names[i], pmus[k], strlen(pmus[k])) == 0;
    bg_free(names);
    *text = 0;
    if (!pmu)
        snprintf(text, n, "; there is no hardware PMU to be seen (usual in a virtual machine)");
    else if (bg_sysfs_text(setting, sizeof setting, bg_counters_procfs(c),
                           "sys/kernel/perf_event_paranoid") && strtol(setting, NULL, 10) > 2)
        snprintf(text, n, "; perf_event_paranoid is %s: `sudo sysctl kernel.perf_event_paranoid=2`",
                 setting);
    return text;
}

static void open_member(void *user, int i, int size)
{
    papi *p = user;
    member *m = &p->members[i];
    (void)size;
    m->status = PAPI_register_thread();
    for (size_t g = 0; g < p->n_groups && m->status == PAPI_OK; g++)
        m->status = create_set(&p->groups[g], &m->sets[g]);
}

static void close_member(void *user, int i, int size)
{
    papi *p = user;
    (void)size;
    for (size_t g = 0; g < MAX_GROUPS; g++) destroy_set(&p->members[i].sets[g]);
    PAPI_unregister_thread();
}

static void start_member(void *user, int i, int size)
{
    papi *p = user;
    (void)size;
    p->members[i].status = PAPI_start(p->members[i].sets[p->turn]);
}

static void stop_member(void *user, int i, int size)
{
    papi *p = user;
    member *m = &p->members[i];
    (void)size;
    if (m->status == PAPI_OK) m->status = PAPI_stop(m->sets[p->turn], m->values);
}

/* PAPI_OK, or what the first member in trouble got. */
static int members_status(const papi *p)
{
    for (int i = 0; i < bg_team_size(p->team); i++)
        if (p->members[i].status != PAPI_OK) return p->members[i].status;
    return PAPI_OK;
}

/* Once for the process, and never shut down: other teams may be counting. */
static int library_status;

static void init_library(void)
{
    int version = PAPI_library_init(PAPI_VER_CURRENT);
    library_status = version == PAPI_VER_CURRENT ? PAPI_thread_init(pthread_self)
                     : version < 0               ? version
                                                 : PAPI_EINVAL;
}

static void claim_groups(bg_counters *c, const papi *p)
{
    for (size_t g = 0; g < p->n_groups; g++)
        for (size_t i = 0; i < p->groups[g].n; i++) {
            char detail[128];
            const char *name = p->groups[g].names[i];
            if (p->n_groups == 1) snprintf(detail, sizeof detail, "%s", name);
            else snprintf(detail, sizeof detail, "%s, in region %zu of every %zu", name, g + 1,
                          p->n_groups);
            bg_counters_claim(c, p->groups[g].ids[i], detail);
        }
}

static void decline_groups(bg_counters *c, papi *p, const char *reason)
{
    for (size_t g = 0; g < p->n_groups; g++)
        for (size_t i = 0; i < p->groups[g].n; i++)
            bg_counters_decline(c, p->groups[g].ids[i], "%s: %s", p->groups[g].names[i], reason);
    p->n_groups = 0;
}

static void find_events(bg_counters *c, papi *p)
{
    char hint[160];
    for (size_t i = 0; i < BG_COUNT(wants); i++) {
        const struct want *w = &wants[i];
        const char *reason = NULL;
        size_t k;
        if (bg_counters_taken(c, w->id)) continue;
        for (k = 0; k < MAX_NAMES && w->names[k]; k++)
            if (!(reason = place(p, w, w->names[k]))) break;
        if (reason)
            bg_counters_decline(c, w->id, "PAPI: %s%s", reason, advice(c, hint, sizeof hint));
    }
}

static bg_status papi_open(bg_counters *c, void **state, bg_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    papi *p = *state = bg_alloc(1, sizeof *p);
    size_t threads = (size_t)bg_team_size(bg_counters_team(c));
    if (!p) return bg_fail_nomem(err, "counters", sizeof *p);
    p->team = bg_counters_team(c);
    pthread_once(&once, init_library);
    if (library_status != PAPI_OK) {
        for (size_t i = 0; i < BG_COUNT(wants); i++)
            bg_counters_decline(c, wants[i].id, "PAPI cannot start: %s",
                                PAPI_strerror(library_status));
        return BG_OK;
    }
    find_events(c, p);
    if (!p->n_groups) return BG_OK;
    p->members = bg_alloc(threads, sizeof *p->members);
    if (!p->members) return bg_fail_nomem(err, "counters", threads * sizeof *p->members);
    for (size_t i = 0; i < threads; i++)
        for (size_t g = 0; g < MAX_GROUPS; g++) p->members[i].sets[g] = PAPI_NULL;
    bg_team_run(p->team, open_member, p);
    if (members_status(p) == PAPI_OK) claim_groups(c, p);
    else decline_groups(c, p, PAPI_strerror(members_status(p)));
    return BG_OK;
}

static void papi_start(void *state)
{
    papi *p = state;
    p->turn = (p->turn + 1) % p->n_groups;
    bg_team_run(p->team, start_member, p);
}

static void papi_stop(void *state, double *values)
{
    papi *p = state;
    const group *g = &p->groups[p->turn];
    bg_team_run(p->team, stop_member, p);
    if (members_status(p) != PAPI_OK) return;
    for (size_t i = 0; i < g->n; i++) {
        values[g->ids[i]] = 0;
        for (int t = 0; t < bg_team_size(p->team); t++)
            values[g->ids[i]] += (double)p->members[t].values[i];
    }
}

static void papi_close(void *state)
{
    papi *p = state;
    if (!p) return;
    if (p->members) bg_team_run(p->team, close_member, p);
    bg_free(p->members);
    bg_free(p);
}

#else

static bg_status papi_open(bg_counters *c, void **state, bg_error *err)
{
    static const bg_counter ids[] = {
        BG_COUNTER_CYCLES, BG_COUNTER_INSTRUCTIONS, BG_COUNTER_L1D_MISSES, BG_COUNTER_L2_MISSES,
        BG_COUNTER_L3_MISSES, BG_COUNTER_DTLB_MISSES, BG_COUNTER_BRANCH_MISSES,
    };
    (void)err;
    *state = NULL;
    for (size_t i = 0; i < BG_COUNT(ids); i++)
        bg_counters_decline(c, ids[i], "built without PAPI (apt install libpapi-dev, build again)");
    return BG_OK;
}

static void papi_start(void *state) { (void)state; }

static void papi_stop(void *state, double *values)
{
    (void)state;
    (void)values;
}

static void papi_close(void *state) { (void)state; }

#endif

const bg_backend bg_backend_papi = {papi_open, papi_start, papi_stop, papi_close};
