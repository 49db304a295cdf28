/* The store: what goes in comes out, nothing goes in twice, nothing that is there changes. */
#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "bitgauge/history.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/bitgauge-history-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static char *inside(const char *name)
{
    char *path = bg_path_join(dir, name);
    assert_non_null(path);
    return path;
}

/* One cell of one scheme, as a sweep on some machine would leave it. */
static bg_results *results(const char *scheme, double tps, const char *cpu, const char *created)
{
    char plan[128], machine[256];
    bg_results *r;
    bg_row *row = bg_row_new();
    bg_error err;
    snprintf(plan, sizeof plan, "{\"bitgauge\": \"0.1.0\", \"created\": \"%s\"}", created);
    snprintf(machine, sizeof machine, "{\"cpu\": {\"model\": \"%s\"}, \"noise_floors\": "
             "[{\"kind\": \"tg\", \"threads\": 2, \"floor\": 0.03}]}", cpu);
    assert_ok(bg_results_new(&r, "nowhere", "{}", &err), &err);
    assert_ok(bg_results_describe(r, plan, machine, &err), &err);
    bg_row_set_text(row, BG_COL_SCHEME, scheme);
    bg_row_set_text(row, BG_COL_TEST, "tg64");
    bg_row_set_text(row, BG_COL_MODEL, "a, \"model\"\nof two lines");
    bg_row_set_number(row, BG_COL_THREADS, 2);
    bg_row_set_number(row, BG_COL_TPS, tps);
    bg_row_set_number(row, BG_COL_TPS_LOW, tps - 1);
    bg_row_set_number(row, BG_COL_TPS_HIGH, tps + 1);
    bg_row_set_number(row, BG_COL_REPS, 7);
    assert_ok(bg_results_add(r, &row, &err), &err);
    return r;
}

static bg_status add(const char *store, bg_results *r, const char *commit, const char *branch,
                     bg_error *err)
{
    char run[BG_HISTORY_ID];
    bg_history_add_options o = {.commit = commit, .branch = branch};
    bg_status status = bg_history_add(store, r, &o, run, err);
    bg_results_close(&r);
    return status;
}

static void round_trip(void **state)
{
    char *store = inside("one");
    bg_error err;
    bg_history *h;
    const bg_history_row *row;
    (void)state;
    assert_ok(add(store, results("Q4_0", 1.0 / 3, "A", "2026-02-01T10:00:00Z"), "abc", "b", &err),
              &err);
    assert_ok(bg_history_open(&h, store, &err), &err);
    assert_int_equal(bg_history_count(h), 1);
    row = bg_history_at(h, 0);
    assert_string_equal(row->model, "a, \"model\"\nof two lines");
    assert_string_equal(row->commit, "abc");
    assert_string_equal(row->branch, "b");
    assert_string_equal(row->metric, "tps");
    assert_string_equal(row->engine, "bitgauge");
    assert_string_equal(row->isa, "");
    assert_true(row->value == 1.0 / 3 && row->n == 7 && row->floor == 0.03 && row->better == 1);
    assert_true(row->low < row->value && row->high > row->value);
    bg_history_close(&h);
    bg_free(store);
}

static void refusals(void **state)
{
    char *store = inside("two"), *runs = inside("two/runs"), *bad;
    static const struct { const char *text, *word; } files[] = {
        {"", "empty"},
        {"run,metric\nx,tps\n", "row 2"},
        {"run,metric,date,value\nx,tps,2026,1,5\n", "fields"},
        {"run,metric,date,value\nbad,tps,2026,one\n", "value is not a number"},
        {"run,metric,date,value\nbad,,2026,1\n", "no metric"},
        {"run,metric,date,value\nbad,tps,2026,\n", "no value"},
        {"run,metric,date,value\nother,tps,2026,1\n", "not of its file"},
        {"run,metric,date,value\n\"bad,tps,2026,1\n", "quoted field"},
    };
    bg_error err;
    bg_history *h;
    bg_results *none;
    (void)state;
    assert_fails(bg_history_open(&h, store, &err), BG_ERR_INPUT, "history add", &err);
    assert_ok(add(store, results("Q4_0", 5, "A", "2026-02-01T10:00:00Z"), "abc", NULL, &err), &err);
    assert_fails(add(store, results("Q4_0", 5, "A", "2026-02-01T10:00:00Z"), "abc", NULL, &err),
                 BG_ERR_INPUT, "already", &err);
    assert_fails(add(store, results("Q4_0", 5, "A", "2026-02-01T10:00:00Z"), "def", "x", &err),
                 BG_ERR_INPUT, "already", &err);
    assert_fails(add(store, results("Q4_0", 6, "A", "2026-02-01T10:00:00Z"), "../../x", NULL, &err),
                 BG_ERR_INPUT, "commit", &err);
    assert_fails(add(store, results("Q4_0", 6, "A", "yesterday"), "abc", NULL, &err), BG_ERR_INPUT,
                 "--date", &err);
    assert_ok(bg_results_new(&none, "nowhere", "{\"created\": \"2026-02-01T10:00:00Z\"}", &err),
              &err);
    assert_fails(add(store, none, "abc", NULL, &err), BG_ERR_INPUT, "no number", &err);
    bad = bg_path_join(runs, "bad.csv");
    for (size_t i = 0; i < BG_COUNT(files); i++) {
        assert_ok(bg_file_write(bad, files[i].text, strlen(files[i].text), &err), &err);
        assert_fails(bg_history_open(&h, store, &err), BG_ERR_INPUT, files[i].word, &err);
        assert_non_null(strstr(err.where, "bad.csv"));
        /* Nothing is added to a store that cannot be read. */
        assert_fails(add(store, results("Q4_0", 9, "A", "2026-02-01T10:00:00Z"), "abc", NULL, &err),
                     BG_ERR_INPUT, "bad.csv", &err);
    }
    unlink(bad);
    bg_free(bad);
    bg_free(runs);
    bg_free(store);
}

static void dates(void **state)
{
    static const struct { const char *given, *utc; } all[] = {
        {"2026-02-01T10:00:00Z", "2026-02-01T10:00:00Z"},
        {"2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"},
        {"2026-02-28T23:59:59.123-00:01", "2026-03-01T00:00:59Z"},
    };
    char *store = inside("dates");
    bg_error err;
    bg_history *h;
    (void)state;
    for (size_t i = 0; i < BG_COUNT(all); i++)
        assert_ok(add(store, results("Q4_0", 5, "A", all[i].given), "abc", NULL, &err), &err);
    assert_ok(bg_history_open(&h, store, &err), &err);
    assert_string_equal(bg_history_at(h, 0)->date, all[1].utc); /* in the order of time */
    assert_string_equal(bg_history_at(h, 1)->date, all[0].utc);
    assert_string_equal(bg_history_at(h, 2)->date, all[2].utc);
    bg_history_close(&h);
    bg_free(store);
}

/* Two machines and two schemes over 24 days; one scheme steps on one machine. */
static void trends(void **state)
{
    char *store = inside("trend"), *text;
    bg_error err;
    bg_history *h;
    bg_history_trend *t;
    bg_rng rng;
    size_t changed = 0;
    (void)state;
    bg_rng_seed(&rng, 5);
    for (int day = 1; day <= 24; day++)
        for (int k = 0; k < 4; k++) {
            char when[32];
            double tps = 100 * (1 + 0.005 * bg_rng_normal(&rng)) * (k == 3 && day > 15 ? 0.9 : 1) *
                         (k & 1 ? 2 : 1);
            snprintf(when, sizeof when, "2026-03-%02dT0%d:00:00Z", day, k);
            assert_ok(add(store, results(k & 2 ? "Q4_0" : "Q8_0", tps, k & 1 ? "A" : "B", when),
                          "abc", NULL, &err), &err);
        }
    assert_ok(bg_history_open(&h, store, &err), &err);
    assert_ok(bg_history_follow(&t, h, &(bg_history_filter){.metric = NULL}, 0, 0, &err), &err);
    assert_int_equal(t->n, 4); /* machines are never joined */
    for (size_t i = 0; i < t->n; i++) {
        const bg_history_series *s = &t->series[i];
        assert_int_equal(s->n, 24);
        assert_true(s->floor == 0.03); /* the machine's own */
        for (size_t k = 1; k < s->n; k++) {
            assert_string_equal(s->rows[k]->machine, s->rows[0]->machine);
            assert_true(strcmp(s->rows[k - 1]->date, s->rows[k]->date) < 0);
        }
        changed += s->n_changes;
        if (!s->n_changes) continue;
        assert_string_equal(s->rows[0]->cpu, "A");
        assert_string_equal(s->rows[0]->scheme, "Q4_0");
        assert_int_equal(s->changes[0].at, 15);
    }
    assert_int_equal(changed, 1);
    assert_true(bg_history_neighbours(&t->series[0], &t->series[1]));
    assert_false(bg_history_neighbours(&t->series[1], &t->series[2]));
    assert_ok(bg_history_trend_text(t, &text, &err), &err);
    assert_non_null(strstr(text, "WORSE from abc"));
    bg_free_text(text);
    bg_history_trend_close(&t);
    assert_fails(bg_history_follow(&t, h, &(bg_history_filter){.metric = "ppl"}, 0, 0, &err),
                 BG_ERR_INPUT, "no such number", &err);
    bg_history_close(&h);
    bg_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(refusals), cmocka_unit_test(dates),
        cmocka_unit_test(trends),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
