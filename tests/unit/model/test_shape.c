/* Shapes: what they describe, what of them is held, random weights, files. */
#include "test.h"

#include "base/file.h"
#include "base/team.h"
#include "model/model.h"
#include "model/shape.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define TINY(name) BG_FIXTURES "/shapes/" name ".json"

static bg_error err;

static bg_shape *open_shape(const char *name)
{
    bg_shape *s;
    assert_ok(bg_shape_open(&s, name, &err), &err);
    return s;
}

static const bg_scheme *scheme(const char *name)
{
    const bg_scheme *s = bg_scheme_find(name);
    assert_non_null(s);
    return s;
}

/* ---- the list ---------------------------------------------------------------------------- */

/* What the models' cards say, from Hugging Face's count of the published weights. */
static void published_counts(void **state)
{
    static const struct { const char *name; uint64_t params; } known[] = {
        {"codellama-13b", 13016028160}, {"codellama-34b", 33743970304},
        {"codellama-7b", 6738546688},   {"llama-2-7b", 6738415616},
        {"llama-3-70b", 70553706496},   {"llama-3-8b", 8030261248},
        {"mistral-7b", 7241732096},     {"phi-3-mini", 3821079552},
        {"qwen2.5-0.5b", 494032768},    {"qwen2.5-1.5b", 1543714304},
        {"qwen2.5-3b", 3085938688},     {"qwen2.5-7b", 7615616512},
        {"tinyllama-1.1b", 1100048384},
    };
    char **names;
    size_t n;
    (void)state;
    assert_ok(bg_shape_names(&names, &n, &err), &err);
    assert_int_equal(n, BG_COUNT(known));
    for (size_t i = 0; i < n; i++) {
        bg_shape *s = open_shape(names[i]);
        uint64_t counted = 0;
        assert_string_equal(names[i], known[i].name);
        assert_int_equal(bg_shape_params(s), known[i].params);
        for (size_t t = 0; t < bg_gguf_tensor_count(bg_shape_gguf(s)); t++) {
            const bg_tensor *tensor = bg_gguf_tensor_at(bg_shape_gguf(s), t);
            assert_null(tensor->data);
            counted += tensor->ne[0] * tensor->ne[1];
        }
        assert_int_equal(counted, known[i].params);
        assert_non_null(strstr(bg_shape_source(s), "https://"));
        bg_shape_close(&s);
    }
    bg_shape_names_free(names, n);
}

static void unknown_names(void **state)
{
    bg_shape *s;
    (void)state;
    assert_fails(bg_shape_open(&s, "codelama-7b", &err), BG_ERR_INPUT, "codellama-7b", &err);
    assert_fails(bg_shape_open(&s, "../models/llama-2-7b", &err), BG_ERR_INPUT, "unknown", &err);
    assert_fails(bg_shape_open(&s, "/nowhere/x.json", &err), BG_ERR_INPUT, "x.json", &err);
}

/* The tiny shape with one text in the place of another. */
static void broken_files(void **state)
{
    static const struct { const char *from, *to, *word; } bad[] = {
        {"\"n_layer\": 10,", "", "n_layer"},
        {"\"n_layer\": 10,", "\"n_layer\": 10, \"extra\": 1,", "extra"},
        {"\"n_layer\": 10,", "\"n_layer\": 10, \"n_layer\": 10,", "uplicate"},
        {"\"n_layer\": 10", "\"n_layer\": \"10\"", "nteger"},
        {"\"n_layer\": 10", "\"n_layer\": 0", "not from 1"},
        {"\"n_layer\": 10", "\"n_layer\": 11", "have 6395"},
        {"\"n_ff\": 512", "\"n_ff\": 500", "multiples of 32"},
        {"\"n_head_kv\": 1", "\"n_head_kv\": 3", "cannot share"},
        {"\"llama\"", "\"bert\"", "'bert'"},
        {"\"rope_base\": 10000", "\"rope_base\": -1", "rope_base"},
        {"{", "[", "no shape"},
    };
    char path[] = "/tmp/bgshapeXXXXXX.json", *text;
    int f = mkstemps(path, 5);
    (void)state;
    assert_true(f >= 0);
    close(f);
    assert_ok(bg_file_read(&text, NULL, TINY("tiny"), 1 << 16, &err), &err);
    for (size_t i = 0; i < BG_COUNT(bad); i++) {
        const char *at = strstr(text, bad[i].from);
        bg_text t = {0};
        bg_shape *s;
        assert_non_null(at);
        bg_text_append(&t, text, (size_t)(at - text));
        bg_text_puts(&t, bad[i].to);
        bg_text_puts(&t, at + strlen(bad[i].from));
        assert_ok(bg_file_write(path, t.data, t.length, &err), &err);
        assert_int_not_equal(bg_shape_open(&s, path, &err), BG_OK);
        assert_null(s);
        if (!strstr(err.message, bad[i].word)) fail_msg("%s: %s", bad[i].word, err.message);
        bg_text_fini(&t);
    }
    bg_free(text);
    unlink(path);
}

/* ---- models ------------------------------------------------------------------------------ */

static bg_model *open_model(const bg_shape *s, uint32_t layers, uint64_t max_bytes)
{
    bg_shape_sample sample = {.layers = layers, .max_bytes = max_bytes};
    bg_model *m;
    assert_ok(bg_model_open_shape(&m, s, &sample, &err), &err);
    return m;
}

static bg_model *make(const bg_model *source, const char *name, bg_team *team)
{
    bg_model *m;
    assert_ok(bg_model_quantize(&m, source, scheme(name), NULL, team, NULL, NULL, &err), &err);
    return m;
}

/* Matrices in their scheme's formats, whatever is held: as the file of the shape would be. */
static void sizes_are_the_files(void **state)
{
    static const char *const shapes[] = {TINY("tiny"), TINY("tiny-qwen2"), TINY("tiny-phi3")};
    static const char *const schemes[] = {"Q3_K_L", "Q4_K_M", "Q5_K_L", "Q5_0", "F16"};
    (void)state;
    for (size_t k = 0; k < BG_COUNT(shapes); k++) {
        bg_shape *s = open_shape(shapes[k]);
        bg_model *source = open_model(s, 3, 0);
        for (size_t i = 0; i < BG_COUNT(schemes); i++) {
            bg_quantize_plan plan;
            bg_model *m = make(source, schemes[i], NULL);
            uint64_t bytes;
            assert_ok(bg_quantize_plan_file(&plan, bg_shape_gguf(s), scheme(schemes[i]), &err),
                      &err);
            assert_int_equal(bg_model_weight_bytes(m), plan.weight_bytes);
            assert_int_equal(bg_model_hparams(m)->n_params, bg_shape_params(s));
            assert_int_equal(bg_model_hparams(m)->n_layer, 10);
            assert_int_equal(bg_model_layers_held(m), 3);
            assert_ok(bg_model_plan_bytes(source, scheme(schemes[i]), &bytes, &err), &err);
            assert_true(bytes < bg_model_weight_bytes(m));
            bg_model_close(&m);
        }
        bg_model_close(&source);
        bg_shape_close(&s);
    }
}

static bool same_kind(const bg_model *m, uint32_t a, uint32_t b)
{
    for (int w = 0; w < BG_W_COUNT; w++)
        if (m->layers[a].w[w]->format != m->layers[b].w[w]->format) return false;
    return true;
}

/* The layers held and those that they stand for are all there are, kind by kind. */
static void every_layer_is_stood_for(void **state)
{
    bg_shape *s = open_shape("tinyllama-1.1b");
    (void)state;
    for (uint32_t layers = 2; layers <= 22; layers += 4) {
        bg_model *source = open_model(s, layers, 0);
        for (size_t i = 0; i < bg_scheme_count(); i++) {
            bg_model *m = bg_alloc(1, sizeof *m);
            double all = 1; /* the last one */
            memcpy(m, source, sizeof *m);
            m->layers = bg_alloc(22, sizeof *m->layers);
            m->tensors = bg_alloc(m->n_tensors, sizeof *m->tensors);
            for (size_t t = 0; t < m->n_tensors; t++) {
                bg_scheme_model facts = bg_model_scheme_facts(source);
                m->tensors[t] = source->tensors[t];
                m->tensors[t].format = bg_scheme_tensor_format(
                    bg_scheme_at(i), &facts, m->tensors[t].name, m->tensors[t].n_dims,
                    m->tensors[t].ne, NULL);
            }
            for (uint32_t l = 0; l < 22; l++)
                for (int w = 0; w < BG_W_COUNT; w++)
                    m->layers[l].w[w] = &m->tensors[source->layers[l].w[w] - source->tensors];
            assert_ok(bg_sample_choose(m, &(bg_shape_sample){.layers = layers}, &err), &err);
            assert_int_equal(m->n_held, layers);
            assert_int_equal(m->held[layers - 1], 21);
            assert_true(m->stands_for[layers - 1] == 0);
            for (uint32_t h = 0; h + 1 < layers; h++) {
                double kind = 0, count = 0;
                assert_true(h == 0 || m->held[h] > m->held[h - 1]);
                for (uint32_t k = 0; k + 1 < layers; k++)
                    if (same_kind(m, m->held[h], m->held[k])) kind += 1 + m->stands_for[k];
                for (uint32_t l = 0; l < 21; l++) count += same_kind(m, m->held[h], l);
                if (layers >= 6) assert_true(fabs(kind - count) < 1e-9);
                all += 1 + m->stands_for[h];
            }
            /* Kinds that are not held count by their bytes. */
            assert_true(fabs(all - 22) < (layers >= 6 ? 1e-9 : 2));
            bg_free(m->held);
            bg_free(m->stands_for);
            bg_free(m->layers);
            bg_free(m->tensors);
            bg_free(m);
        }
        bg_model_close(&source);
    }
    bg_shape_close(&s);
}

static void memory_decides(void **state)
{
    bg_shape *s = open_shape(TINY("tiny"));
    bg_model *source = open_model(s, 0, 0), *m = make(source, "Q8_0", NULL);
    uint64_t whole, layer;
    (void)state;
    assert_ok(bg_model_plan_bytes(source, scheme("Q8_0"), &whole, &err), &err);
    layer = (whole - 2 * 512 * 256 / 32 * 34) / 10;
    assert_int_equal(bg_model_layers_held(m), 10);
    bg_model_close(&m);
    bg_model_close(&source);

    source = open_model(s, 0, whole - 1);
    m = make(source, "Q8_0", NULL);
    assert_int_equal(bg_model_layers_held(m), BG_SHAPE_LAYERS);
    bg_model_close(&m);
    bg_model_close(&source);

    source = open_model(s, 9, whole - 7 * layer);
    m = make(source, "Q8_0", NULL);
    assert_int_equal(bg_model_layers_held(m), 3);
    bg_model_close(&m);
    bg_model_close(&source);

    source = open_model(s, 0, whole - 9 * layer);
    assert_fails(bg_model_quantize(&m, source, scheme("Q8_0"), NULL, NULL, NULL, NULL, &err),
                 BG_ERR_NOMEM, "2 layers take", &err);
    bg_model_close(&source);

    assert_ok(bg_model_open_shape(&source, s,
                                  &(bg_shape_sample){.layers = 2, .min_bytes = 4 * layer}, &err),
              &err);
    m = make(source, "Q8_0", NULL);
    assert_int_equal(bg_model_layers_held(m), 4);
    bg_model_close(&m);
    bg_model_close(&source);
    bg_shape_close(&s);
}

/* Passes give finite logits that are not all alike; only a sample skips anything. */
static void run(const bg_model *m, bg_team *team)
{
    bg_session_options o = {.n_ctx = 64, .n_batch = 16, .team = team};
    int32_t tokens[9] = {1, 5, 99, 1, 7, 300, 2, 2, 511};
    float logits[512];
    double before = 0;
    bg_session *s;
    assert_ok(bg_isa_parse("native", &o.isa, &err), &err);
    assert_ok(bg_session_open(&s, m, &o, &err), &err);
    for (size_t n = 9; n >= 1; n -= 8) {
        double low = INFINITY, high = -INFINITY, skipped;
        bg_batch b = {.n = n, .tokens = tokens};
        assert_ok(bg_session_eval(s, &b, logits, &err), &err);
        for (size_t i = 0; i < 512; i++) {
            assert_true(isfinite(logits[i]));
            low = fmin(low, (double)logits[i]);
            high = fmax(high, (double)logits[i]);
        }
        assert_true(high > low + 0.01 && high < 1000);
        skipped = bg_session_skipped_seconds(s);
        if (bg_model_layers_held(m) == 10) assert_true(skipped == 0);
        else assert_true(skipped > before);
        before = skipped;
        if (n == 1) break;
    }
    bg_session_close(&s);
}

static void weights_run(void **state)
{
    static const char *const shapes[] = {TINY("tiny"), TINY("tiny-qwen2"), TINY("tiny-phi3")};
    static const char *const schemes[] = {"Q4_K_M", "TQ2_0", "Q8_0", "BF16"};
    bg_team *team;
    (void)state;
    assert_ok(bg_team_open(&team, 2, NULL, NULL, &err), &err);
    for (size_t k = 0; k < BG_COUNT(shapes); k++)
        for (uint32_t layers = 0; layers <= 3; layers += 3) {
            bg_shape *s = open_shape(shapes[k]);
            bg_model *source = open_model(s, layers, 0);
            for (size_t i = 0; i < BG_COUNT(schemes); i++) {
                bg_model *m = make(source, schemes[i], team);
                run(m, i % 2 ? team : NULL);
                bg_model_close(&m);
            }
            bg_model_close(&source);
            bg_shape_close(&s);
        }
    bg_team_close(&team);
}

static void no_weights_do_not_run(void **state)
{
    bg_shape *s = open_shape(TINY("tiny"));
    bg_model *source = open_model(s, 0, 0);
    bg_session_options o = {.n_ctx = 8, .isa = BG_ISA_REF};
    bg_session *session;
    (void)state;
    assert_fails(bg_session_open(&session, source, &o, &err), BG_ERR_INPUT, "without weights",
                 &err);
    bg_model_close(&source);
    bg_shape_close(&s);
}

/* ---- files ------------------------------------------------------------------------------- */

static void files_load(void **state)
{
    char path[] = "/tmp/bgshapeXXXXXX.gguf", *first, *second;
    bg_shape *s = open_shape(TINY("tiny"));
    bg_quantize_plan plan;
    bg_team *team;
    bg_model *m;
    size_t n, n2;
    int f = mkstemps(path, 5);
    (void)state;
    close(f);
    assert_ok(bg_team_open(&team, 2, NULL, NULL, &err), &err);
    assert_fails(bg_shape_cut(s, 11, &err), BG_ERR_INPUT, "10 layers", &err);
    assert_ok(bg_shape_cut(s, 4, &err), &err);
    assert_ok(bg_quantize_plan_file(&plan, bg_shape_gguf(s), scheme("Q4_K_M"), &err), &err);
    assert_ok(bg_shape_write(s, path, scheme("Q4_K_M"), NULL, NULL, NULL, &err), &err);
    assert_ok(bg_file_read(&first, &n, path, 1 << 26, &err), &err);
    assert_int_equal(n, plan.file_bytes);
    assert_ok(bg_shape_write(s, path, scheme("Q4_K_M"), team, NULL, NULL, &err), &err);
    assert_ok(bg_file_read(&second, &n2, path, 1 << 26, &err), &err);
    assert_int_equal(n, n2);
    assert_memory_equal(first, second, n);
    bg_free(first);
    bg_free(second);

    assert_ok(bg_model_open(&m, path, &err), &err);
    assert_null(bg_model_tokenizer(m));
    assert_int_equal(bg_model_hparams(m)->n_layer, 4);
    assert_int_equal(bg_model_hparams(m)->n_params, plan.n_params);
    assert_int_equal(bg_model_layers_held(m), 4);
    bg_model_close(&m);
    unlink(path);
    bg_team_close(&team);
    bg_shape_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_counts), cmocka_unit_test(unknown_names),
        cmocka_unit_test(broken_files), cmocka_unit_test(sizes_are_the_files),
        cmocka_unit_test(every_layer_is_stood_for), cmocka_unit_test(memory_decides),
        cmocka_unit_test(weights_run), cmocka_unit_test(no_weights_do_not_run),
        cmocka_unit_test(files_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
