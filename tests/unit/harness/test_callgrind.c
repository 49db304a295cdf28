/* Files of callgrind's, whole and damaged. */
#include "test.h"

#include "bitgauge/simulated.h"

#include "base/base.h"


static const char events[] = "events: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw Bc Bcm Bi Bim\n";

static bg_status parse(const char *text, double counts[BG_SIM_COUNT], bg_error *err)
{
    return bg_callgrind_parse(text, "counts.1", counts, err);
}

static void totals_are_added_up(void **state)
{
    static const double want[BG_SIM_COUNT] = {1000, 4, 11, 21, 25};
    double counts[BG_SIM_COUNT];
    char text[512];
    bg_error err;
    (void)state;
    snprintf(text, sizeof text, "# callgrind format\nversion: 1\n%ssummary: 1 2\n\nfn=(1) main\n"
             "1 +3 totals: 7\n\ntotals: 1000 300 100 4 5 6 7 8 6 50 12 3 13\n", events);
    assert_ok(parse(text, counts, &err), &err);
    for (int i = 0; i < BG_SIM_COUNT; i++) assert_true(counts[i] == want[i]);
    assert_string_equal(bg_sim_name(BG_SIM_INSTRUCTIONS), "sim_instructions");
    /* Zeros at the end are left out of the file. */
    snprintf(text, sizeof text, "%stotals: 9007199254740992 1", events);
    assert_ok(parse(text, counts, &err), &err);
    assert_true(counts[BG_SIM_INSTRUCTIONS] == 0x1p53 && counts[BG_SIM_BRANCH_MISSES] == 0);
}

static void damage_is_refused(void **state)
{
    static const struct { const char *text, *word; } bad[] = {
        {"", "no events: line"},
        {"totals: 1 2 3\n", "no events: line"},
        {"events: Ir\n", "no totals: line"},
        {" events: Ir\ntotals: 1\n", "no events: line"},
        {"events: Ir\ntotals: 1\n", "lacks one of the events I1mr"},
        {"events:\ntotals: 1\n", "more totals than its 0 events"},
        {"events: Ir\ntotals: 1 2\n", "more totals than its 1 events"},
        {"events: Ir\ntotals: -1\n", "'-1' in its totals"},
        {"events: Ir\ntotals: 0x10\n", "'0x10' in its totals"},
        {"events: Ir\ntotals: 1e3\n", "'1e3' in its totals"},
        {"events: Ir\ntotals: 9007199254740993\n", "is not a count"},
        {"events: Ir\ntotals: 99999999999999999999999999999999999999999999\n", "is not a count"},
        {"events: Ir I1mr D1mr D1mw ILmr DLmr DLmw Bcm Bim\ntotals: 0 1\n", "nothing ran"},
        {"events: Ir I1mr D1mr D1mw ILmr DLmr DLmw Bcm Bim\ntotals:\n", "nothing ran"},
    };
    double counts[BG_SIM_COUNT];
    bg_error err;
    (void)state;
    for (size_t i = 0; i < BG_COUNT(bad); i++)
        assert_fails(parse(bad[i].text, counts, &err), BG_ERR_INPUT, bad[i].word, &err);
}

/* Cut anywhere, a file is refused or says what the whole one does. */
static void cut_files(void **state)
{
    char text[512], cut[512];
    double counts[BG_SIM_COUNT];
    bg_error err;
    size_t n;
    (void)state;
    n = (size_t)snprintf(text, sizeof text, "version: 1\n%sfn=(1)\n1 2\n"
                         "totals: 5 4 3 2 1 1 1 1 1 1\n", events);
    for (size_t i = 0; i < n - 30; i++) {
        snprintf(cut, i + 1, "%s", text);
        assert_int_equal(parse(cut, counts, &err), BG_ERR_INPUT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_are_added_up), cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(cut_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
