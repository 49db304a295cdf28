/* Published tables: the installed ones, and files that are refused. */
#include "test.h"

#include "base/file.h"
#include "bitgauge/published.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static bg_error err;

static bool near(double a, double b) { return fabs(a - b) < 1e-9; }

static void installed_tables(void **state)
{
    static const struct { const char *family; double params; const char *model; } shapes[] = {
        {"llama-2", 6738546688, "LLaMA-1 7B"},     {"llama-2", 13016028160, "LLaMA-1 13B"},
        {"llama-2", 33743970304, "Llama 2 70B"},   {"llama-3", 8030261248, "Llama 3 8B"},
        {"llama-2", 1100048384, "LLaMA-1 7B"},     {"mistral", 7241732096, "LLaMA-1 7B"},
    };
    const bg_published_row *m, *r;
    bg_published *p;
    (void)state;
    assert_ok(bg_published_open(&p, NULL, &err), &err);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        m = bg_published_nearest(p, shapes[i].family, shapes[i].params);
        assert_string_equal(m->model, shapes[i].model);
        assert_string_equal(m->scheme, "F16");
    }
    m = bg_published_nearest(p, "llama-1", 7e9);
    assert_true(near(m->ppl, 5.9066));
    assert_true(near(bg_published_scheme(p, m, "Q2_K")->ppl, 6.7764));
    assert_true(isnan(bg_published_scheme(p, m, "Q4_K_M")->kld));
    assert_null(bg_published_scheme(p, m, "Q4_K_L"));
    m = bg_published_nearest(p, "llama-3", 8e9);
    r = bg_published_scheme(p, m, "Q4_K_M"); /* not the one with an importance matrix */
    assert_true(near(r->ppl, 6.407115) && near(r->kld, 0.031273));
    assert_null(bg_published_scheme(p, m, "IQ4_XS"));
    for (size_t i = 0; i < bg_published_count(p); i++) {
        r = bg_published_at(p, i);
        assert_true(strncmp(r->source, "https://", 8) == 0);
        assert_true(r->ppl > 3 && r->ppl < 10);
        m = bg_published_scheme(p, r, "F16");
        assert_true(r->ppl >= m->ppl);
    }
    bg_published_close(&p);
}

static void broken_tables(void **state)
{
    static const char header[] = "model,family,params,text,source,scheme,imatrix,ppl,kld\n";
    static const char good[] = "M,f,1e9,t,s,F16,none,5,\n";
    static const struct { const char *row, *word; } bad[] = {
        {"M,f,1e9,t,s,Q4_0,none,,\n", "ppl"},
        {"M,f,1e9,t,s,Q4_0,none,nan,\n", "ppl"},
        {"M,f,1e9,t,s,Q4_0,none,5,x\n", "kld"},
        {"M,f,1e9,t,s,Q4_0,none,5,-1\n", "kld"},
        {"M,f,0,t,s,Q4_0,none,5,\n", "params"},
        {"M,f,1e9,t,,Q4_0,none,5,\n", "source"},
        {"M,f,1e9,t,s,Q4_0,none,5\n", "8 fields"},
        {"M,f,1e9,t,s,F16,none,5,\n", "repeats"},
        {"N,f,1e9,t,s,Q4_0,none,5,\n", "no F16 row for N"},
        {"N,f,1e9,t,s,F16,wiki,5,\n", "no F16 row for N"},
        {"\"M,f\n", "quoted"},
    };
    char dir[] = "/tmp/bgpublishedXXXXXX", path[64];
    bg_published *p;
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/t.csv", dir);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bg_text t = {0};
        bg_text_printf(&t, "%s%s%s", header, good, bad[i].row);
        assert_ok(bg_file_write(path, t.data, t.length, &err), &err);
        assert_fails(bg_published_open(&p, dir, &err), BG_ERR_INPUT, bad[i].word, &err);
        assert_null(p);
        bg_text_fini(&t);
    }
    unlink(path);
    assert_ok(bg_published_open(&p, dir, &err), &err);
    assert_null(bg_published_nearest(p, "f", 1e9));
    bg_published_close(&p);
    rmdir(dir);
    assert_fails(bg_published_open(&p, dir, &err), BG_ERR_IO, "cannot be read", &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(installed_tables),
                                       cmocka_unit_test(broken_tables)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
