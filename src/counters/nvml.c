#include "counters/nvml.h"

#include "counters/backend.h"

#include <math.h>
#if BG_HAVE_NVML
#include <dlfcn.h>
#endif

static const char library_name[] = "libnvidia-ml.so.1";
static const double update_period = 0.1; /* seconds, about */

#if BG_HAVE_NVML
static void *open_library(void) { return dlopen(library_name, RTLD_NOW | RTLD_LOCAL); }
static void close_library(void *library) { dlclose(library); }
static void *find_function(void *library, const char *name) { return dlsym(library, name); }
static const char why_missing[] = "is not there";
#else
static void *open_library(void) { return NULL; }
static void close_library(void *library) { (void)library; }
static void *find_function(void *library, const char *name)
{
    (void)library;
    (void)name;
    return NULL;
}
static const char why_missing[] = "cannot be loaded by a static program";
#endif

typedef struct nvml {
    void *library;
    bool up;
    bg_nvml_api api;
    double before;
} nvml;

double bg_nvml_joules(const bg_nvml_api *api, char *reason, size_t n)
{
    unsigned devices = 0;
    double sum = 0;
    int status = api->count(&devices);
    if (status) {
        snprintf(reason, n, "%s", api->error(status));
        return NAN;
    }
    if (!devices) {
        snprintf(reason, n, "no NVIDIA GPU");
        return NAN;
    }
    for (unsigned i = 0; i < devices; i++) {
        unsigned long long millijoules = 0;
        void *device = NULL;
        status = api->handle(i, &device);
        if (!status) status = api->energy(device, &millijoules);
        if (status) {
            snprintf(reason, n, "GPU %u: %s", i, api->error(status));
            return NAN;
        }
        sum += 1e-3 * (double)millijoules;
    }
    return sum;
}

static bool load(nvml *v)
{
    const struct { const char *name; void **function; } symbols[] = {
        {"nvmlInit_v2", (void **)&v->api.init},
        {"nvmlShutdown", (void **)&v->api.shutdown},
        {"nvmlDeviceGetCount_v2", (void **)&v->api.count},
        {"nvmlDeviceGetHandleByIndex_v2", (void **)&v->api.handle},
        {"nvmlDeviceGetTotalEnergyConsumption", (void **)&v->api.energy},
        {"nvmlErrorString", (void **)&v->api.error},
    };
    for (size_t i = 0; i < BG_COUNT(symbols); i++)
        if (!(*symbols[i].function = find_function(v->library, symbols[i].name))) return false;
    return true;
}

static bg_status nvml_open(bg_counters *c, void **state, bg_error *err)
{
    nvml *v = *state = bg_alloc(1, sizeof *v);
    char reason[128] = "";
    int status;
    if (!v) return bg_fail_nomem(err, "counters", sizeof *v);
    v->library = open_library();
    if (!v->library) {
        bg_counters_decline(c, BG_COUNTER_ENERGY_GPU, "no NVIDIA driver (%s %s)", library_name,
                            why_missing);
        return BG_OK;
    }
    if (!load(v)) {
        bg_counters_decline(c, BG_COUNTER_ENERGY_GPU, "%s is too old to meter energy",
                            library_name);
        return BG_OK;
    }
    status = v->api.init();
    v->up = status == 0;
    if (!v->up) bg_counters_decline(c, BG_COUNTER_ENERGY_GPU, "%s", v->api.error(status));
    else if (isnan(bg_nvml_joules(&v->api, reason, sizeof reason)))
        bg_counters_decline(c, BG_COUNTER_ENERGY_GPU, "%s", reason);
    else {
        bg_counters_claim(c, BG_COUNTER_ENERGY_GPU, "all GPUs, idle ones too");
        bg_counters_set_period(c, update_period);
    }
    return BG_OK;
}

static void nvml_start(void *state)
{
    nvml *v = state;
    char reason[128];
    v->before = bg_nvml_joules(&v->api, reason, sizeof reason);
}

static void nvml_stop(void *state, double *values)
{
    const nvml *v = state;
    char reason[128];
    double drawn = bg_nvml_joules(&v->api, reason, sizeof reason) - v->before;
    if (drawn > 0) values[BG_COUNTER_ENERGY_GPU] = drawn; /* else it was too short to see */
}

static void nvml_close(void *state)
{
    nvml *v = state;
    if (!v) return;
    if (v->up) v->api.shutdown();
    if (v->library) close_library(v->library);
    bg_free(v);
}

const bg_backend bg_backend_nvml = {nvml_open, nvml_start, nvml_stop, nvml_close};
