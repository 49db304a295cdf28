/* From a GGUF file, or from none, to a GGUF file, a piece of a tensor at a time. Each member of the
 * team makes pieces of its own from reading to writing, so that all of these overlap. */
#include "base/file.h"
#include "base/team.h"
#include "bitgauge/shape.h"
#include "model/model.h"

#include <pthread.h>
#include <string.h>

enum {
    PIECE_BYTES = 1 << 20,      /* of output in a member's memory, but at least one row */
};

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

void bg_quantize_list(bg_quantize_plan *plan, uint64_t bytes[BG_FORMAT_IDS])
{
    size_t used = 0;
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i < BG_FORMAT_IDS; i++)
            if (bytes[i] > bytes[best]) best = i;
        if (!bytes[best]) return;
        bytes[best] = 0;
        used += (size_t)snprintf(plan->formats + used, sizeof plan->formats - used, "%s%s",
                                 used ? "+" : "", bg_gguf_tensor_type_name((uint32_t)best));
        if (used >= sizeof plan->formats) return;
    }
}

bg_status bg_quantize_keys(bg_gguf_writer *w, const bg_gguf *g, uint32_t file_type,
                           const bg_importance *importance, bg_error *err)
{
    const char *path = importance ? bg_importance_path(importance) : NULL, *slash;
    BG_TRY(bg_gguf_writer_copy_metadata(w, g, dropped_keys, err));
    BG_TRY(bg_gguf_writer_u32(w, "general.file_type", file_type, err));
    BG_TRY(bg_gguf_writer_u32(w, "general.quantization_version", 2, err));
    if (!importance || !bg_importance_count(importance)) return BG_OK;
    slash = strrchr(path, '/');
    if (*path)
        BG_TRY(bg_gguf_writer_string(w, "quantize.imatrix.file", slash ? slash + 1 : path, err));
    BG_TRY(bg_gguf_writer_u32(w, "quantize.imatrix.entries_count",
                              (uint32_t)bg_importance_count(importance), err));
    if (bg_importance_dataset(importance))
        BG_TRY(bg_gguf_writer_string(w, "quantize.imatrix.dataset",
                                     bg_importance_dataset(importance), err));
    if (!bg_importance_chunks(importance)) return BG_OK;
    return bg_gguf_writer_u32(w, "quantize.imatrix.chunks_count", bg_importance_chunks(importance),
                              err);
}

void bg_quantize_count(bg_quantize_plan *plan, uint64_t bytes[BG_FORMAT_IDS], const bg_tensor *from,
                       const bg_tensor *to)
{
    const bg_format_info *source = bg_format_get((int)from->format);
    plan->n_params += weights_of(to);
    plan->weight_bytes += to->bytes;
    plan->n_requantized += source && source->block_weights > 1 && to->format != from->format;
    if (to->n_dims > 1 && to->type_id < BG_FORMAT_IDS) bytes[to->type_id] += to->bytes;
}

/* Declares the whole output; the data is to follow. */
static bg_status declare(bg_gguf_writer *w, const bg_gguf *g, const bg_scheme *scheme,
                         const bg_importance *importance, bg_quantize_plan *plan, bg_error *err)
{
    bg_scheme_model facts = bg_scheme_facts(g);
    uint64_t bytes[BG_FORMAT_IDS] = {0};
    memset(plan, 0, sizeof *plan);
    BG_TRY(bg_quantize_keys(w, g, bg_scheme_file_type(scheme), importance, err));
    for (size_t i = 0; i < bg_gguf_tensor_count(g); i++) {
        const bg_tensor *from = bg_gguf_tensor_at(g, i);
        bg_tensor to;
        bool fell_back;
        BG_TRY(target_of(g, scheme, &facts, from, &to, &fell_back, err));
        BG_TRY(bg_gguf_writer_tensor(w, &to, err));
        plan->n_fell_back += fell_back;
        bg_quantize_count(plan, bytes, from, &to);
    }
    plan->file_bytes = bg_gguf_writer_file_bytes(w);
    bg_quantize_list(plan, bytes);
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

/* Bytes of the target of a tensor. */
typedef struct piece { size_t tensor, at, bytes; } piece;

typedef struct job {
    const bg_gguf *g;
    const bg_scheme *scheme;
    const bg_importance *importance;
    struct bg_team *team;
    bool (*progress)(void *user, double fraction);
    void *user;
    bg_gguf_writer *writer;
    bg_tensor *targets;
    bg_random_blocks *random[BG_FORMAT_IDS]; /* of each format, where there are no data */
    pthread_mutex_t lock;       /* of all below */
    piece next;                 /* its bytes are not chosen yet */
    uint64_t done, all;         /* bytes of tensors */
    bool failed;
    piece where;                /* the first that failed, and why */
    bg_error why;
} job;

typedef struct buffer { uint8_t *data; size_t bytes; } buffer;

static bg_status reserve(buffer *b, size_t bytes, bg_error *err)
{
    if (bytes <= b->bytes) return BG_OK;
    bg_free(b->data);
    b->bytes = 0;
    b->data = bg_alloc(bytes, 1);
    if (!b->data) return bg_fail_nomem(err, "a piece of a tensor", bytes);
    b->bytes = bytes;
    return BG_OK;
}

static bool is_copy(const bg_tensor *from, const bg_tensor *to)
{
    return from->data && from->type_id == to->type_id;
}

static size_t matrix_bytes(const bg_tensor *t) { return t->bytes / (t->ne[2] * t->ne[3]); }

/* A piece is so many times this. */
static size_t unit_bytes(const bg_tensor *from, const bg_tensor *to)
{
    if (is_copy(from, to)) return 1;
    if (from->data) return matrix_bytes(to) / to->ne[1];
    return to->n_dims == 1 ? to->bytes : bg_format_get((int)to->format)->block_bytes;
}

/* The next piece, which stays within a matrix; false when there are none, or one has failed. */
static bool take_piece(job *j, piece *p)
{
    bool taken = false;
    pthread_mutex_lock(&j->lock);
    while (j->next.tensor < bg_gguf_tensor_count(j->g) && !j->failed && !taken) {
        const bg_tensor *to = &j->targets[j->next.tensor];
        size_t unit, matrix;
        if (j->next.at == to->bytes) {
            j->next = (piece){j->next.tensor + 1, 0, 0};
            continue;
        }
        unit = unit_bytes(bg_gguf_tensor_at(j->g, j->next.tensor), to);
        matrix = matrix_bytes(to);
        *p = j->next;
        p->bytes = BG_MIN(BG_MAX(PIECE_BYTES / unit, (size_t)1) * unit,
                          matrix - j->next.at % matrix);
        j->next.at += p->bytes;
        taken = true;
    }
    pthread_mutex_unlock(&j->lock);
    return taken;
}

/* Pieces are taken in order: of all that fail, the first is always among them. */
static void end_piece(job *j, const piece *p, bg_status s, const bg_error *why)
{
    const piece *first = &j->where;
    bg_error stopped;
    pthread_mutex_lock(&j->lock);
    if (s == BG_OK && !j->failed) {
        j->done += p->bytes;
        if (j->progress && !j->progress(j->user, (double)j->done / (double)j->all)) {
            s = bg_fail(&stopped, BG_ERR_INTERRUPTED, bg_gguf_path(j->g),
                        "stopped: nothing was written");
            why = &stopped;
        }
    }
    if (s != BG_OK && (!j->failed || p->tensor < first->tensor
                       || (p->tensor == first->tensor && p->at < first->at))) {
        j->failed = true;
        j->where = *p;
        j->why = *why;
    }
    pthread_mutex_unlock(&j->lock);
}

/* Rows of one matrix. */
static bg_status quantize_piece(const job *j, const piece *p, buffer *b, bg_error *err)
{
    const bg_tensor *from = bg_gguf_tensor_at(j->g, p->tensor), *to = &j->targets[p->tensor];
    uint64_t experts = from->ne[2], matrix = p->at / matrix_bytes(to);
    size_t src_row = matrix_bytes(from) / from->ne[1], dst_row = matrix_bytes(to) / to->ne[1];
    size_t row = p->at % matrix_bytes(to) / dst_row, rows = p->bytes / dst_row;
    const uint8_t *src = (const uint8_t *)from->data + p->at / dst_row * src_row;
    const float *importance = NULL;
    bg_status s;
    if (j->importance)
        importance = bg_importance_find(j->importance, from->name, from->ne[0] * experts);
    if (importance) importance += matrix % experts * from->ne[0];
    BG_TRY(reserve(b, p->bytes, err));
    s = bg_quantize_rows(bg_format_get((int)from->format), src, bg_format_get((int)to->format),
                         b->data, importance, rows, from->ne[0], NULL, err);
    if (s != BG_OK)
        snprintf(err->where, sizeof err->where, "%.120s: tensor '%.80s' after row %zu",
                 bg_gguf_path(j->g), from->name, row);
    bg_gguf_release(j->g, src, rows * src_row);
    return s;
}

/* Norms of one, biases of nothing. */
static void fill_vector(const bg_tensor *to, uint8_t *data)
{
    float value = strstr(to->name, ".bias") ? 0 : 1;
    for (size_t i = 0; i < to->ne[0]; i++) memcpy(data + 4 * i, &value, sizeof value);
}

static bg_status write_piece(job *j, const piece *p, buffer *b, bg_error *err)
{
    const bg_tensor *from = bg_gguf_tensor_at(j->g, p->tensor), *to = &j->targets[p->tensor];
    if (is_copy(from, to)) {
        const uint8_t *src = (const uint8_t *)from->data + p->at;
        BG_TRY(bg_gguf_writer_place(j->writer, p->tensor, p->at, src, p->bytes, err));
        bg_gguf_release(j->g, src, p->bytes);
        return BG_OK;
    }
    BG_TRY(reserve(b, p->bytes, err));
    if (from->data) BG_TRY(quantize_piece(j, p, b, err));
    else if (to->n_dims == 1) fill_vector(to, b->data);
    else bg_random_blocks_fill(j->random[to->format], b->data, p->bytes,
                               (uint64_t)p->tensor << 40 ^ p->at, NULL);
    return bg_gguf_writer_place(j->writer, p->tensor, p->at, b->data, p->bytes, err);
}

static void write_some(void *user, int member, int size)
{
    job *j = user;
    buffer b = {0};
    piece p;
    (void)member;
    (void)size;
    while (take_piece(j, &p)) {
        bg_error why;
        bg_status s = write_piece(j, &p, &b, &why);
        end_piece(j, &p, s, &why);
    }
    bg_free(b.data);
}

/* The targets of all tensors, and random blocks for those without data. */
static bg_status prepare(job *j, bg_error *err)
{
    bg_scheme_model facts = bg_scheme_facts(j->g);
    size_t n = bg_gguf_tensor_count(j->g);
    j->targets = bg_alloc(n, sizeof *j->targets);
    if (!j->targets) return bg_fail_nomem(err, "a list of tensors", n * sizeof *j->targets);
    for (size_t i = 0; i < n; i++) {
        const bg_tensor *from = bg_gguf_tensor_at(j->g, i);
        bg_tensor *to = &j->targets[i];
        BG_TRY(target_of(j->g, j->scheme, &facts, from, to, NULL, err));
        if (from->data || to->n_dims == 1 || j->random[to->format]) continue;
        BG_TRY(bg_random_blocks_new(&j->random[to->format], bg_format_get((int)to->format), false,
                                    err));
    }
    return BG_OK;
}

bg_status bg_quantize_try_output(const bg_gguf *g, const char *out, bg_error *err)
{
    for (size_t i = 0; i < bg_gguf_file_count(g); i++)
        if (bg_file_same(bg_gguf_file_path(g, i), out))
            return bg_fail(err, BG_ERR_INPUT, out, bg_gguf_file_count(g) > 1
                           ? "is a part of the input: choose another name"
                           : "is the input itself: choose another name");
    return bg_outfile_try(out, err);
}

/* All that follows the choice of a source; `matrix` is the importance that the file speaks of.
 * Frees what the job holds. */
static bg_status write_file(job *j, const char *out, const bg_importance *matrix, bg_error *err)
{
    bg_quantize_plan plan;
    bg_status s = bg_gguf_writer_open(&j->writer, out, err);
    bg_encoders_choose();
    if (s == BG_OK) s = declare(j->writer, j->g, j->scheme, matrix, &plan, err);
    if (s == BG_OK && plan.n_requantized)
        bg_log(BG_LOG_WARN, "%s: %u tensors are quantized already: quality will be lower than from "
               "an F16 file", bg_gguf_path(j->g), plan.n_requantized);
    if (s == BG_OK) s = prepare(j, err);
    if (s == BG_OK) s = bg_gguf_writer_start(j->writer, err);
    if (s == BG_OK) {
        j->all = plan.weight_bytes;
        pthread_mutex_init(&j->lock, NULL);
        bg_team_run(j->team, write_some, j);
        pthread_mutex_destroy(&j->lock);
        if (j->failed) {
            s = j->why.status;
            if (err) *err = j->why;
        }
    }
    if (s == BG_OK) s = bg_gguf_writer_finish(&j->writer, err);
    bg_gguf_writer_discard(&j->writer);
    for (size_t i = 0; i < BG_COUNT(j->random); i++) bg_random_blocks_free(&j->random[i]);
    bg_free(j->targets);
    return s;
}

bg_status bg_quantize_file(const char *in, const char *out, const bg_scheme *scheme,
                           const bg_importance *importance, struct bg_team *team,
                           bool (*progress)(void *user, double fraction), void *user, bg_error *err)
{
    job j = {.scheme = scheme, .importance = importance, .team = team, .progress = progress,
             .user = user};
    bg_importance *estimate = NULL;
    bg_gguf *g = NULL;
    bg_status s;
    BG_TRY(bg_scheme_check_importance(scheme, importance != NULL, err));
    BG_TRY(bg_gguf_open(&g, in, err));
    j.g = g;
    s = bg_quantize_try_output(g, out, err);
    if (s == BG_OK && importance) s = bg_importance_check(importance, g, err);
    if (s == BG_OK && bg_gguf_tensor_count(g) == 0)
        s = bg_fail(err, BG_ERR_INPUT, in, "has no tensors: give a model, not a vocabulary");
    if (s == BG_OK && !importance && bg_scheme_with_importance(scheme)) {
        s = bg_importance_estimate(&estimate, g, team, err);
        j.importance = estimate;
    }
    if (s == BG_OK) s = write_file(&j, out, importance, err);
    bg_importance_close(&estimate);
    bg_gguf_close(&g);
    return s;
}

bg_status bg_shape_write(const bg_shape *s, const char *out, const bg_scheme *scheme,
                         struct bg_team *team, bool (*progress)(void *user, double fraction),
                         void *user, bg_error *err)
{
    job j = {.g = bg_shape_gguf(s), .scheme = scheme, .team = team, .progress = progress,
             .user = user};
    return write_file(&j, out, NULL, err);
}
