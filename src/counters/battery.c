/* What a laptop draws from its battery: everything in it, and coarse (the meter steps by tens of
 * joules every few seconds), so it serves where nothing better can be read. */
#include "counters/backend.h"

#include "base/sysfs.h"

#include <math.h>
#include <string.h>

static const double update_period = 30; /* seconds; firmware differs, few are slower */
static const char class_dir[] = "class/power_supply";

typedef struct battery {
    const char *sysfs;
    double before;
} battery;

/* Joules: energy_now is in microwatt-hours; charge_now, in microampere-hours, goes with the
 * voltage. NaN when neither is there. */
static double read_joules(const char *sysfs, const char *name)
{
    uint64_t energy, charge, voltage;
    if (bg_sysfs_u64(&energy, sysfs, "%s/%s/energy_now", class_dir, name))
        return 1e-6 * 3600 * (double)energy;
    if (!bg_sysfs_u64(&charge, sysfs, "%s/%s/charge_now", class_dir, name)) return NAN;
    if (!bg_sysfs_u64(&voltage, sysfs, "%s/%s/voltage_min_design", class_dir, name) &&
        !bg_sysfs_u64(&voltage, sysfs, "%s/%s/voltage_now", class_dir, name))
        return NAN;
    return 1e-6 * 3600 * (double)charge * 1e-6 * (double)voltage;
}

static bool is_text(const char *sysfs, const char *name, const char *file, const char *expected)
{
    char text[32];
    return bg_sysfs_text(text, sizeof text, sysfs, "%s/%s/%s", class_dir, name, file) &&
           strcmp(text, expected) == 0;
}

/* What is left in all batteries of the machine, or NaN and the reason. */
static double read_all(const char *sysfs, const char **reason)
{
    char **names;
    size_t n = bg_sysfs_list(&names, sysfs, class_dir, ""), found = 0;
    bool discharging = false, charging = false;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_text(sysfs, names[i], "type", "Battery")) continue;
        if (is_text(sysfs, names[i], "scope", "Device")) continue; /* a mouse's */
        found++;
        discharging |= is_text(sysfs, names[i], "status", "Discharging");
        charging |= is_text(sysfs, names[i], "status", "Charging");
        sum += read_joules(sysfs, names[i]);
    }
    bg_free(names);
    *reason = !found                    ? "no battery"
              : charging || !discharging ? "the battery is not discharging: unplug the charger"
              : isnan(sum)               ? "the battery shows neither energy_now nor charge_now"
                                         : NULL;
    return *reason ? NAN : sum;
}

static bg_status battery_open(bg_counters *c, void **state, bg_error *err)
{
    battery *b = *state = bg_alloc(1, sizeof *b);
    const char *reason;
    if (!b) return bg_fail_nomem(err, "counters", sizeof *b);
    b->sysfs = bg_counters_sysfs(c);
    read_all(b->sysfs, &reason);
    if (reason) {
        bg_counters_decline(c, BG_COUNTER_ENERGY_BATTERY, "%s", reason);
        return BG_OK;
    }
    bg_counters_claim(c, BG_COUNTER_ENERGY_BATTERY, "the whole computer; coarse");
    bg_counters_set_period(c, update_period);
    return BG_OK;
}

static void battery_start(void *state)
{
    battery *b = state;
    const char *reason;
    b->before = read_all(b->sysfs, &reason);
}

static void battery_stop(void *state, double *values)
{
    const battery *b = state;
    const char *reason;
    double drawn = b->before - read_all(b->sysfs, &reason);
    if (drawn > 0) values[BG_COUNTER_ENERGY_BATTERY] = drawn; /* else it was too short to see */
}

const bg_backend bg_backend_battery = {battery_open, battery_start, battery_stop, bg_free};
