#include "counters/backend.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define BG_BACKEND(name) extern const bg_backend bg_backend_##name;
#include "counters/backends.def"

static const struct { const char *name; const bg_backend *backend; } backends[] = {
#define BG_BACKEND(name) {#name, &bg_backend_##name},
#include "counters/backends.def"
};
enum { N_BACKENDS = BG_COUNT(backends) };

static const bg_counter_info infos[BG_COUNTER_COUNT] = {
#define BG_COUNTER(NAME, name, unit, per, better, width, title) {#name, unit, title, per, better},
#include "bitgauge/counters.def"
};

typedef struct source {
    const char *backend;  /* who fills it or would; NULL: nobody here knows it */
    bool taken;
    char reason[256];     /* of its absence */
    char detail[128];
} source;

struct bg_counters {
    char *sysfs, *procfs;
    bg_team *team;
    source sources[BG_COUNTER_COUNT];
    void *states[N_BACKENDS];
    bool open[N_BACKENDS], used[N_BACKENDS];
    size_t opening;
    double period;
};

const bg_counter_info *bg_counter_get(bg_counter id) { return &infos[id]; }

bool bg_counters_taken(const bg_counters *c, bg_counter id) { return c->sources[id].taken; }

void bg_counters_claim(bg_counters *c, bg_counter id, const char *detail)
{
    source *s = &c->sources[id];
    s->taken = true;
    s->backend = backends[c->opening].name;
    s->reason[0] = 0;
    snprintf(s->detail, sizeof s->detail, "%s", detail ? detail : "");
    c->used[c->opening] = true;
}

void bg_counters_decline(bg_counters *c, bg_counter id, const char *format, ...)
{
    source *s = &c->sources[id];
    va_list ap;
    if (s->backend) return;
    s->backend = backends[c->opening].name;
    va_start(ap, format);
    vsnprintf(s->reason, sizeof s->reason, format, ap);
    va_end(ap);
}

void bg_counters_set_period(bg_counters *c, double seconds)
{
    if (isnan(c->period)) c->period = seconds;
}

const char *bg_counters_sysfs(const bg_counters *c) { return c->sysfs; }
const char *bg_counters_procfs(const bg_counters *c) { return c->procfs; }
bg_team *bg_counters_team(const bg_counters *c) { return c->team; }

bg_status bg_counters_open(bg_counters **out, const bg_counters_options *o, bg_error *err)
{
    static const bg_counters_options defaults;
    bg_counters *c = bg_alloc(1, sizeof *c);
    bg_status s = BG_OK;
    *out = NULL;
    if (!c) return bg_fail_nomem(err, "counters", sizeof *c);
    if (!o) o = &defaults;
    c->team = o->team;
    c->period = NAN;
    c->sysfs = bg_strdup(o->sysfs_root ? o->sysfs_root : "/sys");
    c->procfs = bg_strdup(o->procfs_root ? o->procfs_root : "/proc");
    if (!c->sysfs || !c->procfs) s = bg_fail_nomem(err, "counters", sizeof *c);
    for (size_t i = 0; i < N_BACKENDS && s == BG_OK; i++) {
        c->opening = i;
        c->open[i] = true;
        s = backends[i].backend->open(c, &c->states[i], err);
    }
    if (s != BG_OK) {
        bg_counters_close(&c);
        return s;
    }
    *out = c;
    return BG_OK;
}

void bg_counters_close(bg_counters **counters)
{
    bg_counters *c = *counters;
    if (!c) return;
    for (size_t i = 0; i < N_BACKENDS; i++)
        if (c->open[i]) backends[i].backend->close(c->states[i]);
    bg_free(c->sysfs);
    bg_free(c->procfs);
    bg_free(c);
    *counters = NULL;
}

void bg_counters_start(bg_counters *c)
{
    for (size_t i = N_BACKENDS; i-- > 0;)
        if (c->used[i]) backends[i].backend->start(c->states[i]);
}

void bg_counters_stop(bg_counters *c, double values[BG_COUNTER_COUNT])
{
    for (size_t id = 0; id < BG_COUNTER_COUNT; id++) values[id] = NAN;
    for (size_t i = 0; i < N_BACKENDS; i++)
        if (c->used[i]) backends[i].backend->stop(c->states[i], values);
}

const char *bg_counters_backend(const bg_counters *c, bg_counter id)
{
    return c->sources[id].backend;
}

const char *bg_counters_reason(const bg_counters *c, bg_counter id)
{
    const source *s = &c->sources[id];
    if (s->taken) return NULL;
    return s->reason[0] ? s->reason : "no backend of this build reads it";
}

double bg_counters_energy_period(const bg_counters *c) { return c->period; }

static bg_status dump(json_t *array, char **text, bg_error *err)
{
    *text = array ? json_dumps(array, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    json_decref(array);
    return *text ? BG_OK : bg_fail_nomem(err, "counters as JSON", 0);
}

bg_status bg_counters_json(const bg_counters *c, char **counters, char **energy, bg_error *err)
{
    json_t *arrays[2] = {json_array(), json_array()};
    bg_status s;
    for (bg_counter id = 0; id < BG_COUNTER_COUNT; id++) {
        bool is_energy = strcmp(infos[id].unit, "J") == 0;
        const char *reason = bg_counters_reason(c, id), *detail = c->sources[id].detail;
        json_array_append_new(arrays[is_energy],
            json_pack("{s:s, s:s?, s:s, s:s?, s:s?}", "name", infos[id].name, "backend",
                      c->sources[id].backend, "status", reason ? "unavailable" : "ok", "reason",
                      reason, "detail", detail[0] ? detail : NULL));
    }
    *energy = NULL;
    s = dump(arrays[0], counters, err);
    if (s == BG_OK) s = dump(arrays[1], energy, err);
    else json_decref(arrays[1]);
    if (s != BG_OK) {
        bg_free_text(*counters);
        *counters = NULL;
    }
    return s;
}
