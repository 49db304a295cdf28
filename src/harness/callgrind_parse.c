/* The totals of a callgrind.out file. */
#include "bitgauge/simulated.h"

#include "base/base.h"

#include <string.h>

enum { MAX_EVENTS = 32 };
static const uint64_t LARGEST = (uint64_t)1 << 53; /* that a double holds */

static const struct { const char *name, *events; } sims[BG_SIM_COUNT] = {
#define BG_SIM(NAME, name, events, unit, width, title) {#name, events},
#include "bitgauge/simulated.def"
};

const char *bg_sim_name(bg_sim s) { return sims[s].name; }

/* What follows the key on the first line that begins with it, or NULL. */
static const char *find_line(const char *text, const char *key)
{
    size_t n = strlen(key);
    while (strncmp(text, key, n) != 0) {
        text = strchr(text, '\n');
        if (!text) return NULL;
        text++;
    }
    return text + n;
}

typedef struct word { const char *at; size_t length; } word;

/* The next word of a line; false at its end. */
static bool next_word(const char **rest, word *w)
{
    *rest += strspn(*rest, " \t");
    *w = (word){*rest, strcspn(*rest, " \t\r\n")};
    *rest += w->length;
    return w->length > 0;
}

static bool read_count(const word *w, double *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < w->length; i++) {
        if (w->at[i] < '0' || w->at[i] > '9') return false;
        value = 10 * value + (uint64_t)(w->at[i] - '0');
        if (value > LARGEST) return false;
    }
    *out = (double)value;
    return true;
}

static bool same_word(const word *a, const word *b)
{
    return a->length == b->length && memcmp(a->at, b->at, a->length) == 0;
}

/* The sum of the events that a count is made of. */
static bool add_up(bg_sim s, const word *events, const double *totals, size_t n, double *sum)
{
    const char *rest = sims[s].events;
    word wanted;
    *sum = 0;
    while (next_word(&rest, &wanted)) {
        size_t i = 0;
        while (i < n && !same_word(&events[i], &wanted)) i++;
        if (i == n) return false;
        *sum += totals[i];
    }
    return true;
}

bg_status bg_callgrind_parse(const char *text, const char *name, double counts[BG_SIM_COUNT],
                             bg_error *err)
{
    const char *events_line = find_line(text, "events:"), *totals_line = find_line(text, "totals:");
    word events[MAX_EVENTS], w;
    double totals[MAX_EVENTS] = {0}; /* those at the end that are 0 are left out of the file */
    size_t n = 0, n_totals = 0;
    if (!events_line || !totals_line)
        return bg_fail(err, BG_ERR_INPUT, name, "has no %s line: it is no whole file of "
                       "callgrind's", events_line ? "totals:" : "events:");
    while (n < MAX_EVENTS && next_word(&events_line, &events[n])) n++;
    while (next_word(&totals_line, &w)) {
        if (n_totals == n)
            return bg_fail(err, BG_ERR_INPUT, name, "has more totals than its %zu events", n);
        if (!read_count(&w, &totals[n_totals++]))
            return bg_fail(err, BG_ERR_INPUT, name, "'%.*s' in its totals is not a count",
                           (int)BG_MIN(w.length, 40), w.at);
    }
    for (bg_sim s = 0; s < BG_SIM_COUNT; s++)
        if (!add_up(s, events, totals, n, &counts[s]))
            return bg_fail(err, BG_ERR_INPUT, name, "lacks one of the events %s of %s",
                           sims[s].events, sims[s].name);
    if (counts[BG_SIM_INSTRUCTIONS] > 0) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, name, "says that nothing ran");
}
