/* Every architecture against what llama.cpp computes for the same small models. */
#include "variants.h"

#include "base/team.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TOKENS = 200, EVERY = 11, POINTS = (TOKENS + EVERY - 1) / EVERY };

/* Of peer_logits.c, which made the file. */
static float peer[BG_COUNT(variants)][POINTS][VARIANT_VOCAB];

static int32_t token(int i) { return i * 7919 / 13 % VARIANT_VOCAB; }

static bg_model *open_variant(const bg_text *file, const variant *v)
{
    bg_error err;
    bg_gguf *g;
    bg_model *m;
    assert_ok(bg_gguf_open_memory(&g, file->data, file->length, v->name, &err), &err);
    assert_ok(bg_model_open_gguf(&m, g, &err), &err);
    return m;
}

/* All logits, in batches of `step`, in a session that holds no larger ones. Free with bg_free. */
static float *logits_of(const bg_model *m, bg_isa isa, bg_team *team, uint32_t step)
{
    bg_session_options o = {.n_ctx = 256, .n_batch = step, .isa = isa, .team = team};
    float *logits = bg_alloc((size_t)TOKENS * VARIANT_VOCAB, sizeof *logits);
    bg_session *s;
    bg_error err;
    uint8_t want[TOKENS];
    int32_t tokens[TOKENS];
    memset(want, 1, sizeof want);
    for (int i = 0; i < TOKENS; i++) tokens[i] = token(i);
    assert_ok(bg_session_open(&s, m, &o, &err), &err);
    for (uint32_t i = 0; i < TOKENS; i += step) {
        bg_batch b = {.n = BG_MIN(step, TOKENS - i), .tokens = tokens + i, .want = want};
        assert_ok(bg_session_eval(s, &b, logits + (size_t)i * VARIANT_VOCAB, &err), &err);
    }
    bg_session_close(&s);
    return logits;
}

/* Root mean square of the difference over that of the peer's, the worst of all tokens. */
static double distance(const float truth[POINTS][VARIANT_VOCAB], const float *got)
{
    double worst = 0;
    for (size_t p = 0; p < POINTS; p++) {
        const float *row = got + p * EVERY * VARIANT_VOCAB;
        double difference = 0, size = 0;
        for (size_t i = 0; i < VARIANT_VOCAB; i++) {
            double d = (double)truth[p][i] - (double)row[i];
            difference += d * d;
            size += (double)truth[p][i] * (double)truth[p][i];
        }
        worst = fmax(worst, sqrt(difference / size));
    }
    return worst;
}

static bg_isa native(void)
{
    bg_error err;
    bg_isa isa;
    assert_ok(bg_isa_parse("native", &isa, &err), &err);
    return isa;
}

static void read_peer(void)
{
    FILE *f = fopen(BG_SOURCE "/tests/fixtures/model/variants.bin", "rb");
    assert_non_null(f);
    assert_int_equal(fread(peer, 1, sizeof peer, f), sizeof peer);
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
}

/* Halves in this cache, a table of halves for the peer's GELU: each layer adds some noise. With
 * halves in its own cache the peer differs from itself by more than this program does from it. */
static double limit(const variant *v) { return 2.5e-3 * sqrt(v->n_layer); }

static void agree_with_peer(void **state)
{
    /* Small batches let layers with a window come round in their rings. */
    const struct { bg_isa isa; uint32_t step; } ways[] = {
        {BG_ISA_REF, 7}, {native(), TOKENS}, {native(), 7}, {native(), 1},
    };
    (void)state;
    read_peer();
    for (size_t v = 0; v < BG_COUNT(variants); v++) {
        bg_text file = variant_file(&variants[v], NULL);
        bg_model *m = open_variant(&file, &variants[v]);
        for (size_t i = 0; i < BG_COUNT(ways); i++) {
            float *logits = logits_of(m, ways[i].isa, NULL, ways[i].step);
            double d = distance(peer[v], logits);
            if (!(d < limit(&variants[v])))
                fail_msg("%s, %s, by %u: off by %g", variants[v].name, bg_isa_name(ways[i].isa),
                         ways[i].step, d);
            bg_free(logits);
        }
        bg_model_close(&m);
        bg_text_fini(&file);
    }
}

/* The comparison would notice a window one too long, and numbers that are off. */
static void small_mistakes_show(void **state)
{
    (void)state;
    for (size_t v = 0; v < BG_COUNT(variants); v++)
        for (size_t k = 0; k < VARIANT_MOST_KEYS && variants[v].keys[k].name; k++) {
            variant wrong = variants[v];
            variant_key *key = &wrong.keys[k];
            bool ignored = strcmp(wrong.arch, "phi3") == 0 && strstr(key->name, "sliding_window");
            bg_text file;
            bg_model *m;
            float *logits;
            if (key->text || key->bools || strcmp(key->name, "rope.dimension_count") == 0) continue;
            key->u32 += key->u32 > 0;
            key->f32 *= strstr(key->name, "freq_base") ? 30 : 1.2f;
            if (strstr(key->name, "original_context")) key->u32 = key->u32 > 256 ? 100 : 1000;
            file = variant_file(&wrong, NULL);
            m = open_variant(&file, &wrong);
            logits = logits_of(m, native(), NULL, TOKENS);
            if ((distance(peer[v], logits) < limit(&wrong)) != ignored)
                fail_msg("%s without its %s: off by %g only", wrong.name, key->name,
                         distance(peer[v], logits));
            bg_free(logits);
            bg_model_close(&m);
            bg_text_fini(&file);
        }
}

static void same_bits_with_any_team(void **state)
{
    bg_error err;
    (void)state;
    for (size_t v = 0; v < BG_COUNT(variants); v++) {
        bg_text file = variant_file(&variants[v], NULL);
        bg_model *m = open_variant(&file, &variants[v]);
        for (uint32_t step = 1; step <= TOKENS && variants[v].n_layer < 10; step += TOKENS - 1) {
            float *alone = logits_of(m, native(), NULL, step), *together;
            bg_team *team;
            assert_ok(bg_team_open(&team, 3, NULL, NULL, &err), &err);
            together = logits_of(m, native(), team, step);
            assert_memory_equal(alone, together, (size_t)TOKENS * VARIANT_VOCAB * sizeof *alone);
            bg_team_close(&team);
            bg_free(alone);
            bg_free(together);
        }
        bg_model_close(&m);
        bg_text_fini(&file);
    }
}

static void check_sizes(const variant *v)
{
    bg_text whole_file = variant_file(&unpruned, v), file = variant_file(v, NULL);
    bg_model *whole = open_variant(&whole_file, &unpruned), *m = open_variant(&file, v);
    bg_isa isas[] = {BG_ISA_REF, native()};
    assert_true(bg_model_kv_bytes(m, 64, 64) == bg_model_kv_bytes(whole, 64, 64) / 9 * 6);
    assert_true(bg_model_flops_per_token(m, 9) < bg_model_flops_per_token(whole, 9));
    for (size_t i = 0; i < BG_COUNT(isas); i++)
        for (uint32_t step = 1; step <= TOKENS; step += TOKENS - 1) {
            float *a = logits_of(m, isas[i], NULL, step),
                  *b = logits_of(whole, isas[i], NULL, step);
            for (size_t j = 0; j < (size_t)TOKENS * VARIANT_VOCAB; j++)
                if (!(fabsf(a[j] - b[j]) < 1e-4f))
                    fail_msg("%s: %g, not %g", bg_isa_name(isas[i]), (double)a[j], (double)b[j]);
            bg_free(a);
            bg_free(b);
        }
    bg_model_close(&m);
    bg_model_close(&whole);
    bg_text_fini(&file);
    bg_text_fini(&whole_file);
}

static void layers_of_different_sizes(void **state)
{
    (void)state;
    check_sizes(&pruned);
    check_sizes(&uneven);
}

/* A scheme in memory and in a file, where matrices may be fused. */
static void quantizes_alike(void **state)
{
    char folder[] = "/tmp/bgvariantXXXXXX", in[64], out[64];
    const bg_scheme *scheme = bg_scheme_find("Q5_K_M"); /* rows of 64: its formats give way */
    bg_error err;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(in, sizeof in, "%s/in.gguf", folder);
    snprintf(out, sizeof out, "%s/out.gguf", folder);
    for (size_t v = 0; v < BG_COUNT(variants); v++) {
        bg_text file = variant_file(&variants[v], NULL);
        bg_model *m = open_variant(&file, &variants[v]), *there, *here;
        FILE *f = fopen(in, "wb");
        float *a, *b;
        assert_true(f && fwrite(file.data, 1, file.length, f) == file.length && fclose(f) == 0);
        assert_ok(bg_quantize_file(in, out, scheme, NULL, NULL, NULL, NULL, &err), &err);
        assert_ok(bg_model_open(&there, out, &err), &err);
        assert_ok(bg_model_quantize(&here, m, scheme, NULL, NULL, NULL, NULL, &err), &err);
        assert_int_equal(bg_model_weight_bytes(here), bg_model_weight_bytes(there));
        a = logits_of(here, native(), NULL, TOKENS);
        b = logits_of(there, native(), NULL, TOKENS);
        assert_memory_equal(a, b, (size_t)TOKENS * VARIANT_VOCAB * sizeof *a);
        bg_free(a);
        bg_free(b);
        bg_model_close(&here);
        bg_model_close(&there);
        bg_model_close(&m);
        bg_text_fini(&file);
    }
    unlink(in), unlink(out), rmdir(folder);
}

static int write_all(const char *dir)
{
    for (size_t v = 0; v < BG_COUNT(variants); v++) {
        bg_text file = variant_file(&variants[v], NULL);
        char path[512];
        FILE *f;
        snprintf(path, sizeof path, "%s/%02zu-%s.gguf", dir, v, variants[v].name);
        f = fopen(path, "wb");
        if (!f || fwrite(file.data, 1, file.length, f) != file.length || fclose(f) != 0) return 1;
        bg_text_fini(&file);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agree_with_peer), cmocka_unit_test(small_mistakes_show),
        cmocka_unit_test(same_bits_with_any_team),
        cmocka_unit_test(layers_of_different_sizes), cmocka_unit_test(quantizes_alike),
    };
    if (argc == 3 && strcmp(argv[1], "--write") == 0) return write_all(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
