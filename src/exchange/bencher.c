/* Bencher Metric Format: {benchmark: {measure: {value, lower_value, upper_value}}}. */
#include "exchange/exchange.h"

#include <math.h>

static bool add_measure(json_t *benchmark, const bg_measure *m)
{
    json_t *o = json_object();
    bool whole = o && json_object_set_new(o, "value", json_real(m->value)) == 0 &&
                 (isnan(m->low) || json_object_set_new(o, "lower_value", json_real(m->low)) == 0) &&
                 (isnan(m->high) || json_object_set_new(o, "upper_value", json_real(m->high)) == 0);
    return json_object_set_new(benchmark, bg_column_get(m->column)->name, o) == 0 && whole;
}

bg_status bg_export_bencher(const bg_results *r, FILE *f, bg_error *err)
{
    json_t *root = json_object();
    for (size_t i = 0; i < bg_results_row_count(r) && root; i++) {
        const bg_row *row = bg_results_row(r, i);
        bg_measure measures[BG_MEASURES];
        char name[BG_CELL_NAME];
        size_t n = bg_row_measures(row, measures);
        json_t *benchmark = n ? json_object() : NULL;
        bool whole = !n || benchmark;
        for (size_t k = 0; k < n && whole; k++) whole = add_measure(benchmark, &measures[k]);
        bg_cell_name(name, sizeof name, row);
        if (n && whole) whole = json_object_set(root, name, benchmark) == 0;
        json_decref(benchmark);
        if (whole) continue;
        json_decref(root);
        return bg_export_failed(f, err);
    }
    return bg_export_json(f, root, err);
}
