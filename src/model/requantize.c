/* A model's tensors in the formats of a scheme, in memory. */
#include "base/team.h"
#include "model/model.h"

#include <string.h>

/* What a scheme makes of a tensor: the tensor of the file that it lies in decides. */
static bg_format format_of(const bg_model *m, const bg_scheme *scheme, const bg_tensor *t)
{
    bg_scheme_model facts = bg_model_scheme_facts(m);
    char buffer[128];
    const char *name = bg_fusion_name(m->arch, t->name, buffer, sizeof buffer);
    return bg_scheme_tensor_format(scheme, &facts, name, t->n_dims, t->ne, NULL);
}

/* Re-encodes tensor i, which still describes the source's data. */
static bg_status recode(bg_model *m, size_t i, bg_format format, const bg_importance *importance,
                        bg_team *team, bg_error *err)
{
    bg_tensor *t = &m->tensors[i];
    const bg_format_info *from = bg_format_get(t->format), *to = bg_format_get(format);
    size_t rows = t->ne[1], k = t->ne[0];
    size_t bytes = BG_MAX(bg_format_row_bytes(to, k) * rows, bg_packed_bytes(to, rows, k));
    void *data = bg_alloc_large(bytes);
    char where[256], name[128];
    const float *weights = NULL;
    bg_error cause;
    if (importance)
        weights = bg_importance_find(importance,
                                     bg_fusion_name(m->arch, t->name, name, sizeof name), k);
    snprintf(where, sizeof where, "%s: tensor %s", bg_gguf_path(m->gguf), t->name);
    if (!data)
        return bg_fail(err, BG_ERR_NOMEM, where,
                       "no memory for %zu MB of weights: quantize to a smaller scheme, or to a "
                       "file with `bitgauge quantize`", bytes / 1000000 + 1);
    if (bg_quantize_rows(from, t->data, to, data, weights, rows, k, team, &cause) != BG_OK) {
        bg_free_large(data, bytes);
        return bg_fail(err, cause.status, where, "%s", cause.message);
    }
    bg_gguf_release(m->gguf, t->data, t->bytes);
    m->recoded[i] = data;
    t->data = data;
    t->bytes = bg_format_row_bytes(to, k) * rows;
    t->format = format;
    t->type_id = (uint32_t)format;
    return BG_OK;
}

static bg_status recode_all(bg_model *m, const bg_scheme *scheme, const bg_importance *importance,
                            bg_team *team, void (*progress)(void *user, double fraction),
                            void *user, bg_error *err)
{
    uint64_t done = 0;
    for (size_t i = 0; i < m->n_tensors; i++) {
        const bg_tensor *t = &m->tensors[i];
        bg_format format = format_of(m->source, scheme, t);
        if (format != BG_FORMAT_NONE && format != t->format)
            BG_TRY(recode(m, i, format, importance, team, err));
        done += t->ne[0] * t->ne[1];
        if (progress) progress(user, (double)done / (double)m->source->h.n_params);
    }
    return BG_OK;
}

static bg_status decode_all(bg_model *m, bg_team *team, bg_error *err)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        const bg_tensor *t = &m->tensors[i];
        if (bg_format_get((int)t->format)->activation == BG_FORMAT_F32) continue;
        if (!t->data)
            return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(m->gguf), "%s is packed already: "
                           "quantize it again", t->name);
        BG_TRY(recode(m, i, BG_FORMAT_F32, NULL, team, err));
    }
    return BG_OK;
}

/* The formats of a scheme for a model that has no data yet. */
static void describe_all(bg_model *m, const bg_scheme *scheme)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        bg_tensor *t = &m->tensors[i];
        bg_format format = format_of(m->source, scheme, t);
        if (format == BG_FORMAT_NONE) continue;
        t->format = format;
        t->type_id = (uint32_t)format;
        t->bytes = bg_format_row_bytes(bg_format_get(format), t->ne[0]) * t->ne[1];
    }
}

/* A model that shares the source's file; its tensors are the source's. */
static bg_status derive(bg_model **out, const bg_model *source, bg_error *err)
{
    bg_model *m = bg_alloc(1, sizeof *m);
    *out = m;
    if (!m) return bg_fail_nomem(err, "model", sizeof *m);
    m->source = source;
    m->h = source->h;
    m->arch = source->arch;
    m->h.n_params = 0; /* linking counts them */
    m->gguf = source->gguf;
    m->tokenizer = source->tokenizer;
    m->shape = source->shape;
    m->n_tensors = source->n_tensors;
    m->tensors = bg_alloc(m->n_tensors, sizeof *m->tensors);
    m->recoded = bg_alloc(m->n_tensors, sizeof *m->recoded);
    if (!m->tensors || !m->recoded)
        return bg_fail_nomem(err, "model", m->n_tensors * sizeof *m->tensors);
    memcpy(m->tensors, source->tensors, m->n_tensors * sizeof *m->tensors);
    return BG_OK;
}

/* A shape's model as far as its sizes go. */
static bg_status derive_shape(bg_model **m, const bg_model *source, const bg_scheme *scheme,
                              bg_error *err)
{
    BG_TRY(derive(m, source, err));
    describe_all(*m, scheme);
    BG_TRY(bg_model_link(*m, err));
    (*m)->h.n_params = source->h.n_params;
    return bg_sample_choose(*m, &source->sample, err);
}

bg_status bg_model_quantize(bg_model **out, const bg_model *source, const bg_scheme *scheme,
                            const bg_importance *importance, bg_team *team,
                            void (*progress)(void *user, double fraction), void *user,
                            bg_error *err)
{
    bg_importance *estimate = NULL;
    bg_model *m = NULL;
    bg_status status;
    if (source->shape) {
        status = derive_shape(&m, source, scheme, err);
        if (status == BG_OK) status = bg_sample_fill(m, team, progress, user, err);
    } else {
        bg_encoders_choose();
        status = derive(&m, source, err);
        if (status == BG_OK && !importance && bg_scheme_with_importance(scheme)) {
            status = bg_importance_estimate(&estimate, source->gguf, team, err);
            importance = estimate;
        }
        if (status == BG_OK)
            status = recode_all(m, scheme, importance, team, progress, user, err);
        bg_importance_close(&estimate);
        if (status == BG_OK) status = bg_model_link(m, err);
    }
    if (status != BG_OK) bg_model_close(&m);
    *out = m;
    return status;
}

bg_status bg_model_floats(bg_model **out, const bg_model *source, bg_team *team, bg_error *err)
{
    bg_model *m = NULL;
    bg_status status = derive(&m, source, err);
    if (status == BG_OK) status = decode_all(m, team, err);
    if (status == BG_OK) status = bg_model_link(m, err);
    if (status != BG_OK) bg_model_close(&m);
    *out = m;
    return status;
}

bg_status bg_model_plan_bytes(const bg_model *source, const bg_scheme *scheme, uint64_t *bytes,
                              bg_error *err)
{
    bg_model *m = NULL;
    bg_status status;
    *bytes = 0;
    if (source->shape) {
        status = derive_shape(&m, source, scheme, err);
        if (status == BG_OK) *bytes = bg_sample_bytes(m);
        bg_model_close(&m);
        return status;
    }
    for (size_t i = 0; i < source->n_tensors; i++) {
        const bg_tensor *t = &source->tensors[i];
        bg_format f = format_of(source, scheme, t);
        if (f == BG_FORMAT_NONE) *bytes += t->bytes;
        else *bytes += bg_format_row_bytes(bg_format_get(f), t->ne[0]) * t->ne[1];
    }
    return BG_OK;
}
