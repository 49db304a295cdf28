/* published.c: a shape has no quality of its own; the nearest published model lends its. */
#include "advise/advise.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* What the sweep was of: false for a model that has weights. */
static bool read_shape(const bg_results *r, char *family, size_t n, double *params)
{
    const char *text = bg_results_plan(r);
    json_t *plan = text ? json_loads(text, 0, NULL) : NULL;
    json_t *model = json_object_get(json_object_get(plan, "settings"), "model");
    const char *name = json_string_value(json_object_get(model, "shape"));
    const char *of = json_string_value(json_object_get(model, "family"));
    *params = json_number_value(json_object_get(model, "params"));
    snprintf(family, n, "%s", of ? of : "");
    json_decref(plan);
    return name && *params > 0;
}

bg_status bg_advise_publish(bg_advice *a, bg_error *err)
{
    char family[64];
    double params;
    if (!read_shape(a->results, family, sizeof family, &params)) return BG_OK;
    BG_TRY(bg_published_open(&a->tables, NULL, err));
    a->published = bg_published_nearest(a->tables, family, params);
    for (size_t i = 0; a->published && i < a->n; i++) {
        bg_candidate *c = &a->c[i];
        const bg_published_row *row = bg_published_scheme(a->tables, a->published, c->scheme);
        if (!row || c->quality) continue;
        c->ppl = row->ppl;
        c->kld = row == a->published ? 0 : row->kld;
        c->ppl_loss_pct = 100 * (row->ppl / a->published->ppl - 1);
    }
    return BG_OK;
}

const bg_published_row *bg_advice_published(const bg_advice *a) { return a->published; }

bool bg_candidate_predicted(const bg_candidate *c)
{
    const char *source = c->tg ? bg_row_text(c->tg, BG_COL_SOURCE)
                         : c->pp ? bg_row_text(c->pp, BG_COL_SOURCE) : NULL;
    return source && strcmp(source, "predicted") == 0;
}
