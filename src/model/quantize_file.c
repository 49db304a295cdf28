/* From a GGUF file, or from none, to a GGUF file, a piece of a tensor at a time. */
#include "base/file.h"
#include "base/team.h"
#include "bitgauge/shape.h"
#include "model/model.h"

#include <string.h>
#include <sys/stat.h>

enum { PIECE_BYTES = 16 << 20 }; /* of output in memory at once, but at least one row */

/* Keys that speak of the source file alone. */
static const char *const dropped_keys[] = {"split.no", "split.count", "split.tensors.count", NULL};

bg_scheme_model bg_scheme_facts(const bg_gguf *g)
{
    static const struct { const char *key; size_t offset; } facts[] = {
        {"block_count", offsetof(bg_scheme_model, n_layer)},
        {"attention.head_count", offsetof(bg_scheme_model, n_head)},
        {"attention.head_count_kv", offsetof(bg_scheme_model, n_head_kv)},
    };
    bg_scheme_model m = {.tied_embeddings = !bg_gguf_tensor_find(g, "output.weight")};
    bg_gguf_string architecture;
    if (!bg_gguf_get_string(g, "general.architecture", &architecture)) return m;
    for (size_t i = 0; i < BG_COUNT(facts); i++) {
        char key[128];
        const bg_gguf_value *v;
        int64_t n;
        snprintf(key, sizeof key, "%.*s.%s", (int)BG_MIN(architecture.length, (size_t)64),
                 architecture.data, facts[i].key);
        v = bg_gguf_find(g, key);
        /* Some architectures have one for each layer; the first decides. */
        if (v && bg_gguf_element_i64(v, 0, &n) && n > 0 && n <= UINT32_MAX)
            *(uint32_t *)((char *)&m + facts[i].offset) = (uint32_t)n;
    }
    return m;
}

static uint64_t weights_of(const bg_tensor *t) { return t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]; }

/* What a tensor becomes. */
static bg_status target_of(const bg_gguf *g, const bg_scheme *scheme, const bg_scheme_model *facts,
                           const bg_tensor *from, bg_tensor *to, bool *fell_back, bg_error *err)
{
    bg_format f = bg_scheme_tensor_format(scheme, facts, from->name, from->n_dims, from->ne,
                                          fell_back);
    *to = *from;
    if (f == BG_FORMAT_NONE || f == from->format) return BG_OK;
    if (from->format == BG_FORMAT_NONE) {
        if (from->n_dims < 2) return BG_OK;
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g),
                       "tensor '%.120s' is %s, which bitgauge cannot decode: quantize from an F16, "
                       "BF16 or F32 file", from->name, bg_gguf_tensor_type_name(from->type_id));
    }
    to->format = f;
    to->type_id = (uint32_t)f;
    to->bytes = bg_format_row_bytes(bg_format_get((int)f), from->ne[0]) *
                (size_t)(weights_of(from) / from->ne[0]);
    return BG_OK;
}

/* Bytes of each format among the matrices, for the plan's list. */
static void list_formats(bg_quantize_plan *plan, uint64_t bytes[], size_t n)
{
    size_t used = 0;
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i < n; i++)
            if (bytes[i] > bytes[best]) best = i;
        if (!bytes[best]) return;
        bytes[best] = 0;
        used += (size_t)snprintf(plan->formats + used, sizeof plan->formats - used, "%s%s",
                                 used ? "+" : "", bg_gguf_tensor_type_name((uint32_t)best));
        if (used >= sizeof plan->formats) return;
    }
}

/* Declares the whole output; the data is to follow. */
static bg_status declare(bg_gguf_writer *w, const bg_gguf *g, const bg_scheme *scheme,
                         const bg_importance *importance, bg_quantize_plan *plan, bg_error *err)
{
    bg_scheme_model facts = bg_scheme_facts(g);
    uint64_t bytes[64] = {0};
    memset(plan, 0, sizeof *plan);
    BG_TRY(bg_gguf_writer_copy_metadata(w, g, dropped_keys, err));
    BG_TRY(bg_gguf_writer_u32(w, "general.file_type", bg_scheme_file_type(scheme), err));
    BG_TRY(bg_gguf_writer_u32(w, "general.quantization_version", 2, err));
    if (importance) {
        const char *path = bg_importance_path(importance), *slash = strrchr(path, '/');
        BG_TRY(bg_gguf_writer_string(w, "quantize.imatrix.file", slash ? slash + 1 : path, err));
        BG_TRY(bg_gguf_writer_u32(w, "quantize.imatrix.entries_count",
                                  (uint32_t)bg_importance_count(importance), err));
    }
    for (size_t i = 0; i < bg_gguf_tensor_count(g); i++) {
        const bg_tensor *from = bg_gguf_tensor_at(g, i);
        const bg_format_info *source = bg_format_get((int)from->format);
        bg_tensor to;
        bool fell_back;
        BG_TRY(target_of(g, scheme, &facts, from, &to, &fell_back, err));
        BG_TRY(bg_gguf_writer_tensor(w, &to, err));
        plan->n_params += weights_of(from);
        plan->weight_bytes += to.bytes;
        plan->n_fell_back += fell_back;
        plan->n_requantized += source && source->block_weights > 1 && to.format != from->format;
        if (to.n_dims > 1 && to.type_id < BG_COUNT(bytes)) bytes[to.type_id] += to.bytes;
    }
    plan->file_bytes = bg_gguf_writer_file_bytes(w);
    list_formats(plan, bytes, BG_COUNT(bytes));
    return BG_OK;
}

bg_status bg_quantize_plan_file(bg_quantize_plan *plan, const bg_gguf *g, const bg_scheme *scheme,
                                bg_error *err)
{
    bg_gguf_writer *w;
    bg_status s;
    BG_TRY(bg_gguf_writer_open(&w, NULL, err));
    s = declare(w, g, scheme, NULL, plan, err);
    bg_gguf_writer_discard(&w);
    return s;
}

/* ---- the data --------------------------------------------------------------------------- */

typedef struct job {
    const bg_gguf *g;
    const bg_scheme *scheme;
    const bg_importance *importance;
    struct bg_team *team;
    bool (*progress)(void *user, double fraction);
    void *user;
    bg_gguf_writer *writer;
    uint8_t *buffer;
    size_t buffer_bytes;
    uint64_t done, all;      /* weights */
    bg_random_blocks *random;     /* of the format that came last, where there is no data */
    bg_format random_format;
} job;

static bg_status step(job *j, uint64_t weights, bg_error *err)
{
    j->done += weights;
    if (!j->progress || j->progress(j->user, (double)j->done / (double)j->all)) return BG_OK;
    return bg_fail(err, BG_ERR_INTERRUPTED, bg_gguf_path(j->g), "stopped: nothing was written");
}

static bg_status reserve(job *j, size_t bytes, bg_error *err)
{
    if (bytes <= j->buffer_bytes) return BG_OK;
    bg_free(j->buffer);
    j->buffer_bytes = 0;
    j->buffer = bg_alloc(bytes, 1);
    if (!j->buffer) return bg_fail_nomem(err, "a piece of a tensor", bytes);
    j->buffer_bytes = bytes;
    return BG_OK;
}

/* One matrix of a tensor: `rows` rows from `src`. */
static bg_status write_matrix(job *j, const bg_tensor *from, const bg_tensor *to,
                              const uint8_t *src, const float *importance, bg_error *err)
{
    const bg_format_info *a = bg_format_get((int)from->format), *b = bg_format_get((int)to->format);
    size_t n = from->ne[0], rows = from->ne[1], src_row = bg_format_row_bytes(a, n),
           dst_row = bg_format_row_bytes(b, n), most = BG_MAX(PIECE_BYTES / dst_row, (size_t)1);
    BG_TRY(reserve(j, BG_MIN(most, rows) * dst_row, err));
    for (size_t row = 0; row < rows; row += most) {
        size_t some = BG_MIN(most, rows - row);
        bg_status s = bg_quantize_rows(a, src + row * src_row, b, j->buffer, importance, some, n,
                                       j->team, err);
        if (s != BG_OK) {
            if (err) snprintf(err->where, sizeof err->where, "%.120s: tensor '%.80s' after row %zu",
                              bg_gguf_path(j->g), from->name, row);
            return s;
        }
        bg_gguf_release(j->g, src + row * src_row, some * src_row);
        BG_TRY(bg_gguf_writer_data(j->writer, j->buffer, some * dst_row, err));
        BG_TRY(step(j, some * n, err));
    }
    return BG_OK;
}

static bg_status write_random(job *j, const bg_tensor *to, size_t index, bg_error *err)
{
    const bg_format_info *f = bg_format_get((int)to->format);
    size_t most = PIECE_BYTES / f->block_bytes * f->block_bytes;
    if (to->format != j->random_format) bg_random_blocks_free(&j->random);
    if (!j->random) BG_TRY(bg_random_blocks_new(&j->random, f, false, err));
    j->random_format = to->format;
    BG_TRY(reserve(j, BG_MIN(most, to->bytes), err));
    for (size_t at = 0; at < to->bytes; at += most) {
        size_t some = BG_MIN(most, to->bytes - at);
        bg_random_blocks_fill(j->random, j->buffer, some, (uint64_t)index << 40 ^ at, j->team);
        BG_TRY(bg_gguf_writer_data(j->writer, j->buffer, some, err));
        BG_TRY(step(j, some / f->block_bytes * f->block_weights, err));
    }
    return BG_OK;
}

/* Norms of one, biases of nothing. */
static bg_status write_vector(job *j, const bg_tensor *to, bg_error *err)
{
    float *values, value = strstr(to->name, ".bias") ? 0 : 1;
    BG_TRY(reserve(j, to->bytes, err));
    values = (float *)(void *)j->buffer;
    for (size_t i = 0; i < to->ne[0]; i++) values[i] = value;
    BG_TRY(bg_gguf_writer_data(j->writer, j->buffer, to->bytes, err));
    return step(j, to->ne[0], err);
}

static bg_status write_tensor(job *j, const bg_tensor *from, const bg_tensor *to, bg_error *err)
{
    uint64_t experts = from->ne[2], matrices = experts * from->ne[3];
    const float *importance = NULL;
    if (from->type_id == to->type_id) {
        BG_TRY(bg_gguf_writer_data(j->writer, from->data, from->bytes, err));
        bg_gguf_release(j->g, from->data, from->bytes);
        return step(j, weights_of(from), err);
    }
    if (j->importance)
        importance = bg_importance_find(j->importance, from->name, from->ne[0] * experts);
    for (uint64_t m = 0; m < matrices; m++)
        BG_TRY(write_matrix(j, from, to, (const uint8_t *)from->data + m * (from->bytes / matrices),
                            importance ? importance + m % experts * from->ne[0] : NULL, err));
    return BG_OK;
}

static bg_status write_tensors(job *j, bg_error *err)
{
    bg_scheme_model facts = bg_scheme_facts(j->g);
    for (size_t i = 0; i < bg_gguf_tensor_count(j->g); i++) {
        const bg_tensor *from = bg_gguf_tensor_at(j->g, i);
        bg_tensor to;
        BG_TRY(target_of(j->g, j->scheme, &facts, from, &to, NULL, err));
        if (from->data) BG_TRY(write_tensor(j, from, &to, err));
        else if (to.n_dims == 1) BG_TRY(write_vector(j, &to, err));
        else BG_TRY(write_random(j, &to, i, err));
    }
    return BG_OK;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* All that follows the choice of a source; frees what the job holds. */
static bg_status write_file(job *j, const char *out, bg_error *err)
{
    bg_quantize_plan plan;
    bg_status s = bg_gguf_writer_open(&j->writer, out, err);
    bg_encoders_choose();
    if (s == BG_OK) s = declare(j->writer, j->g, j->scheme, j->importance, &plan, err);
    if (s == BG_OK && plan.n_requantized)
        bg_log(BG_LOG_WARN, "%s: %u tensors are quantized already: quality will be lower than from "
               "an F16 file", bg_gguf_path(j->g), plan.n_requantized);
    j->all = plan.n_params;
    if (s == BG_OK) s = write_tensors(j, err);
    if (s == BG_OK) s = bg_gguf_writer_finish(&j->writer, err);
    bg_gguf_writer_discard(&j->writer);
    bg_random_blocks_free(&j->random);
    bg_free(j->buffer);
    return s;
}

bg_status bg_quantize_file(const char *in, const char *out, const bg_scheme *scheme,
                           const bg_importance *importance, struct bg_team *team,
                           bool (*progress)(void *user, double fraction), void *user, bg_error *err)
{
    job j = {.scheme = scheme, .importance = importance, .team = team, .progress = progress,
             .user = user};
    bg_gguf *g = NULL;
    bg_status s;
    if (same_file(in, out))
        return bg_fail(err, BG_ERR_INPUT, out, "is the input itself: choose another name");
    BG_TRY(bg_gguf_open(&g, in, err));
    j.g = g;
    s = importance ? bg_importance_check(importance, g, err) : BG_OK;
    if (s == BG_OK && bg_gguf_tensor_count(g) == 0)
        s = bg_fail(err, BG_ERR_INPUT, in, "has no tensors: give a model, not a vocabulary");
    if (s == BG_OK) s = write_file(&j, out, err);
    bg_gguf_close(&g);
    return s;
}

bg_status bg_shape_write(const bg_shape *s, const char *out, const bg_scheme *scheme,
                         struct bg_team *team, bool (*progress)(void *user, double fraction),
                         void *user, bg_error *err)
{
    job j = {.g = bg_shape_gguf(s), .scheme = scheme, .team = team, .progress = progress,
             .user = user};
    return write_file(&j, out, err);
}
