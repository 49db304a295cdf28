/* Any bytes as a GGUF file: read, looked at in every way, planned for quantization, opened and run
 * as a model. */
#include "base/base.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Looks at every byte that a getter gives out, so that a sanitizer sees a bad range. */
static uint64_t touch(const void *p, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((const uint8_t *)p)[i];
    return sum;
}

static uint64_t look_at_value(const bg_gguf *g, const bg_gguf_value *v)
{
    uint64_t sum = touch(v->data, v->bytes), u;
    size_t offset = 0;
    bg_gguf_string s;
    double d;
    int64_t i;
    bool b;
    while (bg_gguf_next_string(v, &offset, &s)) sum += touch(s.data, s.length);
    for (uint64_t k = 0; k < BG_MIN(v->count, (uint64_t)100); k++)
        sum += (uint64_t)bg_gguf_element_f64(v, k, &d) + (uint64_t)bg_gguf_element_i64(v, k, &i);
    if (bg_gguf_element_f64(v, v->count, &d)) abort();
    sum += (uint64_t)bg_gguf_get_u64(g, v->key, &u) + (uint64_t)bg_gguf_get_f64(g, v->key, &d);
    sum += (uint64_t)bg_gguf_get_bool(g, v->key, &b) + (uint64_t)bg_gguf_get_string(g, v->key, &s);
    if (bg_gguf_find(g, v->key) != v) abort();
    return sum;
}

static void look_at_all(const bg_gguf *g)
{
    static volatile uint64_t kept;
    uint64_t sum = 0;
    bg_quantize_plan plan;
    for (size_t i = 0; i < bg_gguf_value_count(g); i++)
        sum += look_at_value(g, bg_gguf_value_at(g, i));
    for (size_t i = 0; i < bg_gguf_tensor_count(g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, i);
        if (bg_gguf_tensor_find(g, t->name) != t) abort();
        sum += touch(t->data, t->bytes);
    }
    for (size_t i = 0; i < bg_scheme_count(); i++)
        bg_quantize_plan_file(&plan, g, bg_scheme_at(i), NULL);
    kept = sum;
    (void)kept;
}

/* Three tokens through whatever the weights are. */
static void run(const bg_model *m, bg_isa isa)
{
    bg_session_options o = {.n_ctx = 4, .n_batch = 2, .isa = isa};
    uint32_t n_vocab = bg_model_hparams(m)->n_vocab;
    int32_t tokens[] = {0, (int32_t)n_vocab - 1, 0};
    float *logits = calloc(n_vocab, sizeof *logits);
    bg_session *s;
    bg_error err;
    bg_rng rng;
    bg_rng_seed(&rng, 1);
    if (logits && bg_session_open(&s, m, &o, &err) == BG_OK) {
        bg_batch two = {.n = 2, .tokens = tokens}, one = {.n = 1, .tokens = tokens + 2};
        int32_t next;
        if (bg_session_eval(s, &two, logits, &err) != BG_OK) abort();
        if (bg_session_eval(s, &one, logits, &err) != BG_OK) abort();
        next = bg_sample_token(logits, n_vocab, 1, &rng);
        if (next < 0 || (uint32_t)next >= n_vocab) abort();
        bg_session_close(&s);
    }
    free(logits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bg_gguf *g;
    bg_model *m = NULL;
    bg_error err = {0};
    bg_status s = bg_gguf_open_memory(&g, data, size, "input", &err);
    if ((s == BG_OK) != (g != NULL) || (s != BG_OK && !err.message[0])) abort();
    if (g) look_at_all(g);
    /* The model takes the file. */
    if (g && (bg_model_open_gguf(&m, g, &err) == BG_OK) != (m != NULL)) abort();
    if (m) {
        run(m, BG_ISA_REF);
        run(m, bg_isa_usable(BG_ISA_AVX2, NULL) ? BG_ISA_AVX2 : BG_ISA_REF);
    }
    bg_model_close(&m);
    return 0;
}
