/* Results of shapes: where they lie, and what they say in short. */
#include "cli/advise_options.h"

#include "bitgauge/results.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_of_shape(const struct bg_results *r, const char *shape)
{
    json_t *plan = json_loads(bg_results_plan(r), 0, NULL);
    json_t *model = json_object_get(json_object_get(plan, "settings"), "model");
    const char *name = json_string_value(json_object_get(model, "shape"));
    bool same = name && strcmp(name, shape) == 0;
    json_decref(plan);
    return same;
}

/* Newest first; folders are named after the time. */
static int newest(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*b)->d_name, (*a)->d_name);
}

static bool find_newest(const char *shape, struct bg_results **r)
{
    struct dirent **entries = NULL;
    int n = scandir("results", &entries, NULL, newest);
    bool found = false;
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name, *end = strstr(name, shape);
        char *dir = end && end > name && end[-1] == '-' && strcmp(end, shape) == 0
                    ? bg_path_join("results", name) : NULL;
        if (dir && !found && bg_results_open(r, dir, NULL) == BG_OK) {
            found = is_of_shape(*r, shape);
            if (!found) bg_results_close(r);
        }
        bg_free(dir);
        free(entries[i]);
    }
    free(entries);
    return found;
}

bg_status bg_cli_shape_results(const char *dir, const char *shape, struct bg_results **r,
                               bg_error *err)
{
    if (!dir) {
        if (find_newest(shape, r)) return BG_OK;
        return bg_fail(err, BG_ERR_INPUT, shape, "has no results here yet: run `bitgauge sweep "
                       "--shape %.60s` to make them", shape);
    }
    BG_TRY(bg_results_open(r, dir, err));
    if (is_of_shape(*r, shape)) return BG_OK;
    bg_results_close(r);
    return bg_fail(err, BG_ERR_INPUT, dir, "holds no results of the shape %.60s", shape);
}

static void print_number(int width, double value)
{
    if (isnan(value)) printf("%*s", width, "");
    else printf("%*.*f", width, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value);
}

static void print_scheme(const bg_candidate *c, bool pick)
{
    char size[32];
    printf("  %-9s%8.2f%12s", c->scheme, c->bpw,
           bg_format_size(size, sizeof size, c->memory_bytes));
    print_number(12, c->pp_tps);
    print_number(12, c->tg_tps);
    print_number(12, c->ppl_loss_pct);
    printf("%s\n", pick ? "  <- the pick" : "");
}

void bg_cli_shape_answer(const bg_advice *a)
{
    const bg_published_row *p = bg_advice_published(a);
    const bg_candidate *pick = bg_advice_pick(a);
    const char *name = bg_row_text(pick->any, BG_COL_MODEL);
    bool predicted = false, fits = false;
    printf("%s, context of %u tokens\n\n  %-9s%8s%12s%12s%12s%12s\n  %-9s%8s%12s%12s%12s%12s\n",
           name ? name : "", bg_advice_ctx(a), "scheme", "bits", "memory", "prefill", "decode",
           "loss", "", "a weight", "", "tokens/s", "tokens/s", "% of ppl");
    for (size_t i = 0; i < bg_advice_count(a); i++) {
        const bg_candidate *c = bg_advice_candidate(a, i);
        predicted |= bg_candidate_predicted(c);
        if (c->removed_by) continue;
        fits = true;
        print_scheme(c, c == pick && bg_advice_feasible(a));
    }
    if (!fits) printf("  none\n");
    printf("\n");
    for (size_t i = 0; i < bg_advice_count(a); i++)
        if (bg_advice_candidate(a, i)->removed_by)
            printf("  left out: %s, %s\n", bg_advice_candidate(a, i)->scheme,
                   bg_advice_candidate(a, i)->removed_by);
    if (predicted) printf("  speeds: predicted for the whole model from some of its layers\n");
    if (p)
        printf("  loss: published for %s, the nearest model with a table\n        (%s)\n", p->model,
               p->source);
}
