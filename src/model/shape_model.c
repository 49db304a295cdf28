/* Models of shapes: which layers they hold, for how many others each stands, random weights. */
#include "base/team.h"
#include "model/model.h"
#include "model/shape.h"

#include <string.h>

bg_status bg_model_open_shape(bg_model **out, const bg_shape *s, const bg_shape_sample *sample,
                              bg_error *err)
{
    bg_model *m = bg_alloc(1, sizeof *m);
    bg_status status;
    *out = NULL;
    if (!m) return bg_fail_nomem(err, "model", sizeof *m);
    m->shape = s;
    m->sample = *sample;
    status = bg_shape_describe(s, &m->gguf, err);
    if (status == BG_OK) status = bg_hparams_read(&m->h, &m->arch, m->gguf, err);
    if (status == BG_OK) status = bg_model_list_tensors(m, err);
    if (status == BG_OK) status = bg_model_link(m, err);
    m->h.n_params = bg_shape_params(s);
    if (status != BG_OK) bg_model_close(&m);
    *out = m;
    return status;
}

/* ---- the layers to hold ------------------------------------------------------------------ */

/* Layers whose matrices have the same formats take the same time. */
typedef struct kind {
    bg_format formats[BG_W_COUNT];
    size_t bytes;                 /* of one layer */
    uint32_t count, held;         /* the last layer is not among them: it ends a prompt early */
} kind;

typedef struct choice {
    kind *kinds;
    uint32_t *kind_of;            /* by layer */
    size_t n_kinds;
    uint32_t n_layer;
} choice;

static kind describe_layer(const bg_layer *l)
{
    kind k = {.count = 0};
    for (int w = 0; w < BG_W_COUNT; w++) {
        k.formats[w] = l->w[w]->format;
        k.bytes += l->w[w]->bytes;
    }
    return k;
}

static void find_kinds(const bg_model *m, choice *c)
{
    for (uint32_t l = 0; l < c->n_layer; l++) {
        kind k = describe_layer(&m->layers[l]);
        size_t i = 0;
        while (i < c->n_kinds && memcmp(c->kinds[i].formats, k.formats, sizeof k.formats) != 0) i++;
        if (i == c->n_kinds) c->kinds[c->n_kinds++] = k;
        c->kind_of[l] = (uint32_t)i;
        c->kinds[i].count += l + 1 < c->n_layer;
    }
}

/* Shares n layers out: one for each kind, the commonest first, then by their numbers. */
static void share(choice *c, uint32_t n)
{
    for (size_t i = 0; i < c->n_kinds; i++) c->kinds[i].held = 0;
    for (uint32_t taken = 1; taken < n; taken++) {
        kind *best = NULL;
        double most = 0;
        for (size_t i = 0; i < c->n_kinds; i++) {
            kind *k = &c->kinds[i];
            double weight = k->held ? (double)k->count / (2.0 * k->held + 1) : 1e6 * k->count;
            if (k->held == k->count || weight <= most) continue;
            most = weight;
            best = k;
        }
        if (best) best->held++;
    }
}

static uint64_t layer_bytes(const choice *c)
{
    uint64_t bytes = c->kinds[c->kind_of[c->n_layer - 1]].bytes;
    for (size_t i = 0; i < c->n_kinds; i++) bytes += (uint64_t)c->kinds[i].held * c->kinds[i].bytes;
    return bytes;
}

static uint64_t other_bytes(const bg_model *m)
{
    return m->token_embd->bytes + (m->output == m->token_embd ? 0 : m->output->bytes);
}

static bg_status choose_number(const bg_model *m, choice *c, const bg_shape_sample *sample,
                               uint32_t *n, bg_error *err)
{
    uint64_t most = sample->max_bytes ? sample->max_bytes : UINT64_MAX, other = other_bytes(m);
    uint32_t least = BG_MIN(c->n_layer, 2u);
    char needs[32], has[32];
    *n = BG_MAX(least, BG_MIN(sample->layers ? sample->layers : c->n_layer, c->n_layer));
    share(c, *n);
    if (!sample->layers && other + layer_bytes(c) > most)
        share(c, *n = BG_MIN(c->n_layer, (uint32_t)BG_SHAPE_LAYERS));
    while (*n < c->n_layer && layer_bytes(c) < sample->min_bytes) share(c, ++*n);
    while (*n > least && other + layer_bytes(c) > most) share(c, --*n);
    if (other + layer_bytes(c) <= most) return BG_OK;
    return bg_fail(err, BG_ERR_NOMEM, bg_shape_name(m->shape), "%u layers take %s and %s are free: "
                   "close other programs, or leave the scheme out", *n,
                   bg_format_size(needs, sizeof needs, (double)(other + layer_bytes(c))),
                   bg_format_size(has, sizeof has, (double)most));
}

/* Layers of a kind that is not held stand with those that are, by bytes. */
static void set_weights(bg_model *m, const choice *c)
{
    double missing = 0, bytes = 0;
    for (size_t i = 0; i < c->n_kinds; i++) {
        const kind *k = &c->kinds[i];
        if (k->held) bytes += (double)k->held * (double)k->bytes;
        else missing += (double)k->count * (double)k->bytes;
    }
    for (uint32_t i = 0; i + 1 < m->n_held; i++) {
        const kind *k = &c->kinds[c->kind_of[m->held[i]]];
        m->stands_for[i] = (double)(k->count - k->held) / k->held + missing / bytes;
    }
}

/* Of each kind, layers that lie apart. */
static void take_layers(bg_model *m, choice *c)
{
    for (uint32_t l = 0; l < c->n_layer; l++) {
        const kind *k = &c->kinds[c->kind_of[l]];
        uint64_t before = 0;
        bool last = l + 1 == c->n_layer;
        for (uint32_t i = 0; i < l; i++) before += c->kind_of[i] == c->kind_of[l];
        if (last || (before + 1) * k->held / k->count > before * k->held / k->count)
            m->held[m->n_held++] = l;
    }
}

bg_status bg_sample_choose(bg_model *m, const bg_shape_sample *sample, bg_error *err)
{
    choice c = {.n_layer = m->h.n_layer};
    uint32_t n = 0;
    bg_status status = BG_OK;
    c.kinds = bg_alloc(c.n_layer, sizeof *c.kinds);
    c.kind_of = bg_alloc(c.n_layer, sizeof *c.kind_of);
    m->held = bg_alloc(c.n_layer, sizeof *m->held);
    m->stands_for = bg_alloc(c.n_layer, sizeof *m->stands_for);
    if (!c.kinds || !c.kind_of || !m->held || !m->stands_for)
        status = bg_fail_nomem(err, "layers", c.n_layer * sizeof *c.kinds);
    if (status == BG_OK) {
        find_kinds(m, &c);
        status = choose_number(m, &c, sample, &n, err);
    }
    if (status == BG_OK) {
        take_layers(m, &c);
        set_weights(m, &c);
    }
    bg_free(c.kinds);
    bg_free(c.kind_of);
    return status;
}

uint64_t bg_sample_bytes(const bg_model *m)
{
    uint64_t bytes = other_bytes(m);
    for (uint32_t i = 0; i < m->n_held; i++) bytes += describe_layer(&m->layers[m->held[i]]).bytes;
    return bytes;
}

/* ---- random weights ---------------------------------------------------------------------- */

typedef struct filling {
    bg_model *m;
    bg_team *team;
    bg_random_blocks *blocks;     /* of the format that came last */
    bg_format format;
    bool packed;
} filling;

static bg_status fill(filling *f, const bg_tensor *tensor, bool packed, bg_error *err)
{
    size_t i = (size_t)(tensor - f->m->tensors), bytes;
    bg_tensor *t = &f->m->tensors[i];
    const bg_format_info *info = bg_format_get(t->format);
    if (f->blocks && (f->format != t->format || f->packed != packed))
        bg_random_blocks_free(&f->blocks);
    if (!f->blocks) BG_TRY(bg_random_blocks_new(&f->blocks, info, packed, err));
    f->format = t->format;
    f->packed = packed;
    f->m->recoded[i] = bg_alloc_large(bg_recoded_bytes(t));
    if (!f->m->recoded[i]) return bg_fail_nomem(err, t->name, bg_recoded_bytes(t));
    bytes = packed ? bg_packed_bytes(info, t->ne[1], t->ne[0]) : t->bytes;
    bg_random_blocks_fill(f->blocks, f->m->recoded[i], bytes, i, f->team);
    t->data = f->m->recoded[i];
    if (packed) bg_packs_adopt(f->m, i);
    return BG_OK;
}

bg_status bg_sample_fill(bg_model *m, bg_team *team, void (*progress)(void *user, double fraction),
                         void *user, bg_error *err)
{
    filling f = {.m = m, .team = team};
    bg_status status = fill(&f, m->output, true, err);
    if (status == BG_OK && m->output != m->token_embd) status = fill(&f, m->token_embd, false, err);
    for (int w = 0; w < BG_W_COUNT; w++)
        for (uint32_t i = 0; i < m->n_held && status == BG_OK; i++) {
            status = fill(&f, m->layers[m->held[i]].w[w], true, err);
            if (progress) progress(user, ((double)w + (double)i / m->n_held) / BG_W_COUNT);
        }
    bg_random_blocks_free(&f.blocks);
    return status;
}
