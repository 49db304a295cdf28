#include "test.h"

#include "harness/harness.h"

#include <jansson.h>
#include <stdlib.h>

static bg_sweep_options options(void)
{
    bg_sweep_options o;
    bg_sweep_options_init(&o);
    o.isas = "ref";
    return o;
}

static bg_plan make(const bg_sweep_options *o, int threads)
{
    bg_plan p;
    bg_error err;
    assert_ok(bg_plan_make(&p, o, threads, &err), &err);
    return p;
}

static void refuses(const bg_sweep_options *o, int threads, const char *word)
{
    bg_plan p;
    bg_error err;
    assert_fails(bg_plan_make(&p, o, threads, &err), BG_ERR_INPUT, word, &err);
}

static void profiles_are_read(void **state)
{
    static const char *const names[] = {"quick", "full", "ci"};
    (void)state;
    for (size_t i = 0; i < BG_COUNT(names); i++) {
        bg_sweep_options o = options();
        bg_plan p;
        o.profile = names[i];
        p = make(&o, 4);
        assert_true(p.n_cells > 0 && p.min_reps <= p.max_reps && p.precision > 0);
        assert_int_equal(p.threads[0], 4);
        if (i < 2) assert_int_equal(p.n_schemes, bg_scheme_count());
        bg_plan_fini(&p);
    }
}

static void options_override(void **state)
{
    bg_sweep_options o = options();
    bg_plan p;
    (void)state;
    o.schemes = "Q4_K_M,Q6_K";
    o.threads = "4,1,auto,1";
    o.n_prompt = 100;
    o.n_gen = 7;
    o.depth = 1000;
    o.reps = 4;
    o.quality = BG_QUALITY_OFF;
    o.time_limit = 11;
    p = make(&o, 4);
    assert_int_equal(p.n_threads, 2);
    assert_int_equal(p.threads[0], 1);
    assert_int_equal(p.threads[1], 4);
    assert_int_equal(p.n_cells, 2 * 2 * 2);
    assert_string_equal(p.cells[0].test, "pp100@d1000");
    assert_string_equal(p.cells[1].test, "tg7@d1000");
    assert_int_equal(p.min_reps, 4);
    assert_int_equal(p.max_reps, 4);
    assert_true(p.time_limit == 11);
    bg_plan_fini(&p);
    o.n_prompt = 0;
    o.quality = BG_QUALITY_FULL;
    p = make(&o, 4);
    assert_int_equal(p.n_cells, 2 * (2 + 1));
    assert_string_equal(p.cells[2].test, "quality");
    assert_int_equal(p.cells[2].threads, 4);
    bg_plan_fini(&p);
}

static void simulated_cells(void **state)
{
    bg_sweep_options o = options();
    bg_plan p;
    (void)state;
    o.schemes = "Q4_0";
    o.n_prompt = 64;
    o.n_gen = 0;
    o.quality = BG_QUALITY_OFF;
    o.threads = "1,2,4";
    o.simulate = true;
    p = make(&o, 4);
    assert_int_equal(p.n_cells, 3 + 2);
    assert_true(bg_cell_timed(&p.cells[2]) && bg_plan_timed(&p));
    assert_string_equal(p.cells[3].test, "sim-pp16");
    assert_string_equal(p.cells[4].test, "sim-tg4@d16");
    assert_true(p.cells[4].simulated && !bg_cell_timed(&p.cells[4]));
    assert_int_equal(p.cells[4].threads, 1);
    bg_plan_fini(&p);
    o.shape = "llama-2-7b";
    refuses(&o, 4, "counts models");
    /* valgrind knows no AVX-512. */
    assert_int_equal(bg_sim_isa(BG_ISA_AVX512VNNI), BG_ISA_AVX2);
    assert_int_equal(bg_sim_isa(BG_ISA_AMX), BG_ISA_AVX2);
    assert_int_equal(bg_sim_isa(BG_ISA_I8MM), BG_ISA_NEON);
    assert_int_equal(bg_sim_isa(BG_ISA_REF), BG_ISA_REF);
}

static void bad_options(void **state)
{
    static const struct { const char *profile, *schemes, *isas, *threads, *word; } bad[] = {
        {"nosuch", NULL, "ref", NULL, "no such profile"},
        {"../ci", NULL, "ref", NULL, "no such profile"},
        {NULL, "Q4_K_X", "ref", NULL, "Q4_K_"},
        {NULL, "", "ref", NULL, ""},
        {NULL, NULL, "avx9", NULL, "avx9"},
        {NULL, NULL, ",", NULL, "empty"},
        {NULL, NULL, "ref", "0", "1 to 4096"},
        {NULL, NULL, "ref", "2x", "1 to 4096"},
        {NULL, NULL, "ref", ",", "empty"},
        {NULL, NULL, "ref", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "over 16"},
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(bad); i++) {
        bg_sweep_options o = options();
        bg_plan p;
        bg_error err;
        o.profile = bad[i].profile;
        o.schemes = bad[i].schemes;
        o.isas = bad[i].isas;
        o.threads = bad[i].threads;
        assert_fails(bg_plan_make(&p, &o, 64, &err), BG_ERR_INPUT, bad[i].word, &err);
    }
}

static void nothing_to_do(void **state)
{
    bg_sweep_options o = options();
    (void)state;
    o.n_prompt = o.n_gen = 0;
    o.quality = BG_QUALITY_OFF;
    refuses(&o, 1, "nothing to measure");
}

static void groups_fit(void **state)
{
    static const uint64_t bytes[] = {40, 50, 60, 200, 10, UINT64_MAX, 5};
    static const size_t groups[] = {0, 0, 1, 2, 3, 4, 5};
    bg_plan p = {.n_schemes = 7};
    (void)state;
    bg_plan_group(&p, bytes, 100);
    for (size_t i = 0; i < 7; i++) assert_int_equal(p.group[i], groups[i]);
    assert_int_equal(p.n_groups, 6);
    bg_plan_group(&p, bytes, UINT64_MAX);
    assert_int_equal(p.group[4], 0);
}

/* The settings decide whether a folder may be resumed. */
static void settings_compare(void **state)
{
    bg_sweep_options o = options();
    bg_plan a, b, c;
    json_t *ja, *jb, *jc, *back;
    char *text;
    (void)state;
    a = make(&o, 2);
    o.time_limit = 999; /* how long it may take is not what is measured */
    b = make(&o, 2);
    o.n_gen = 65;
    c = make(&o, 2);
    ja = bg_plan_settings(&a);
    jb = bg_plan_settings(&b);
    jc = bg_plan_settings(&c);
    text = json_dumps(ja, JSON_REAL_PRECISION(15));
    back = json_loads(text, 0, NULL);
    assert_true(json_equal(ja, jb));
    assert_true(json_equal(ja, back));
    assert_false(json_equal(ja, jc));
    free(text);
    json_decref(ja);
    json_decref(jb);
    json_decref(jc);
    json_decref(back);
    bg_plan_fini(&a);
    bg_plan_fini(&b);
    bg_plan_fini(&c);
}

static void searches(void **state)
{
    bg_sweep_options o = options();
    bg_plan p;
    (void)state;
    o.schemes = "Q2_K,Q8_0,Q4_K_M";
    o.search = "auto";
    p = make(&o, 1);
    assert_int_equal(p.n_schemes, 5);
    assert_string_equal(bg_plan_name(&p, 3), "search-Q2_K");
    assert_string_equal(bg_plan_name(&p, 4), "search-Q4_K_M");
    assert_null(p.schemes[4]);
    assert_true(bg_plan_open(&p, 4));
    bg_plan_fini(&p);
    o.search = "2.7MB,q3_k_m,2.7MB";
    p = make(&o, 1);
    assert_int_equal(p.n_schemes, 5);
    assert_string_equal(bg_plan_name(&p, 3), "search-2.7MB");
    assert_int_equal(p.searched[3].bytes, 2700000);
    assert_string_equal(bg_plan_name(&p, 4), "search-Q3_K_M");
    assert_string_equal(bg_scheme_name(p.searched[4].like), "Q3_K_M");
    bg_plan_fini(&p);
    o.search = "auto";
    o.schemes = "Q8_0,F16";
    refuses(&o, 1, "no scheme of the sweep");
    o.search = "Q4_K_X";
    refuses(&o, 1, "neither a size");
}

/* Each scheme beside its variant, but where the list has variants itself. */
static void importance_adds_variants(void **state)
{
    bg_sweep_options o = options();
    bg_plan p;
    (void)state;
    o.schemes = "Q2_K,Q8_0,Q4_K_M";
    o.imatrix = "x.gguf";
    p = make(&o, 1);
    assert_int_equal(p.n_schemes, 5);
    assert_string_equal(bg_scheme_name(p.schemes[1]), "Q2_K+imatrix");
    assert_string_equal(bg_scheme_name(p.schemes[2]), "Q8_0");
    assert_string_equal(bg_scheme_name(p.schemes[4]), "Q4_K_M+imatrix");
    bg_plan_fini(&p);
    o.schemes = "Q2_K,Q4_K_M+imatrix";
    p = make(&o, 1);
    assert_int_equal(p.n_schemes, 2);
    bg_plan_fini(&p);
    o.imatrix = NULL;
    refuses(&o, 1, "give --imatrix");
    o.quality = BG_QUALITY_OFF; /* for its speed alone */
    p = make(&o, 1);
    bg_plan_fini(&p);
}

/* Quality once more for each, of what bitgauge runs; never for the speed. */
static void simulated_activations(void **state)
{
    bg_sweep_options o = options();
    bg_plan plain, p;
    size_t n = 0;
    (void)state;
    o.schemes = "Q2_K,Q8_0";
    plain = make(&o, 1);
    o.activations = "q8,q4";
    p = make(&o, 1);
    assert_int_equal(p.n_cells, plain.n_cells + 4);
    for (size_t i = 0; i < p.n_cells; i++) {
        if (!p.cells[i].activations) continue;
        assert_string_equal(p.cells[i].test, n++ % 2 ? "quality-q4" : "quality-q8");
        assert_int_equal(p.cells[i].kind, BG_TEST_QUALITY);
    }
    assert_int_equal(n, 4);
    bg_plan_fini(&p);
    bg_plan_fini(&plain);
    o.activations = "q8,q5";
    refuses(&o, 1, "not 'q5'");
}

/* Of an engine that chooses its instruction set a cell a number of threads, and its quality only
 * where there is a program for it. */
static void engines_have_cells(void **state)
{
    bg_sweep_options o = options();
    bg_plan p;
    json_t *settings;
    (void)state;
    o.schemes = "Q4_K_M,Q8_0";
    o.threads = "1,2";
    o.engines = "llama.cpp,builtin";
    p = make(&o, 2);
    assert_int_equal(p.n_engines, 2);
    assert_int_equal(p.n_cells, 2 * (5 + 4));
    assert_string_equal(p.engines[p.cells[0].engine]->name, "bitgauge");
    assert_string_equal(bg_cell_isa(&p, &p.cells[0]), "ref");
    assert_string_equal(p.engines[p.cells[5].engine]->name, "llama.cpp");
    assert_string_equal(bg_cell_isa(&p, &p.cells[5]), "");
    settings = bg_plan_settings(&p);
    assert_int_equal(json_array_size(json_object_get(settings, "engines")), 2);
    json_decref(settings);
    bg_plan_fini(&p);
    o.llama_perplexity = "llama-perplexity";
    p = make(&o, 2);
    assert_int_equal(p.n_cells, 2 * (5 + 5));
    bg_plan_fini(&p);
    o.engines = NULL; /* folders of before there were engines go on */
    p = make(&o, 2);
    settings = bg_plan_settings(&p);
    assert_null(json_object_get(settings, "engines"));
    json_decref(settings);
    bg_plan_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles_are_read), cmocka_unit_test(options_override),
        cmocka_unit_test(simulated_cells), cmocka_unit_test(bad_options),
        cmocka_unit_test(nothing_to_do), cmocka_unit_test(groups_fit),
        cmocka_unit_test(settings_compare), cmocka_unit_test(importance_adds_variants),
        cmocka_unit_test(simulated_activations),
        cmocka_unit_test(searches), cmocka_unit_test(engines_have_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
