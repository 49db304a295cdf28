#include "base/team.h"
#include "bitgauge/quality.h"

#include "base/base.h"

enum { DEFAULT_PARALLEL = 16 };

/* A wave: documents written side by side, one sequence each. */
typedef struct wave {
    const bg_self_text_options *o;
    const bg_tokenizer *tokenizer;
    bg_session *session;
    uint32_t n, n_vocab;
    int32_t start;           /* token that a document begins with */
    size_t first;            /* document of sequence 0 */
    int32_t *text;           /* of document 0 of the wave */
    int32_t *last;           /* latest token of each */
    uint32_t *seq;
    uint8_t *want;
    float *logits;
    size_t logits_bytes;
    bg_rng *rng;
} wave;

static void sample_next(void *user, int member, int size)
{
    wave *w = user;
    size_t begin, end;
    bg_team_share(w->n, 1, member, size, &begin, &end);
    for (size_t i = begin; i < end; i++)
        w->last[i] = bg_sample_token(w->logits + i * w->n_vocab, w->n_vocab, w->o->temperature,
                               &w->rng[i]);
}

/* Writes w->n documents, a token of each at a time. */
static bg_status write_wave(wave *w, uint64_t done, uint64_t total, bg_error *err)
{
    const bg_self_text_options *o = w->o;
    int32_t eos = bg_tokenizer_eos(w->tokenizer);
    bg_batch b = {.n = w->n, .tokens = w->last, .seq = w->seq, .want = w->want};
    for (uint32_t i = 0; i < w->n; i++) {
        uint64_t document[2] = {o->seed, w->first + i};
        bg_rng_seed(&w->rng[i], bg_hash(BG_HASH_INIT, document, sizeof document));
        bg_session_reset(w->session, i);
        w->last[i] = w->start;
    }
    for (size_t at = 0; at < o->doc_tokens; at++) {
        for (uint32_t i = 0; i < w->n; i++) w->text[i * o->doc_tokens + at] = w->last[i];
        if (o->progress && !o->progress(o->user, done + at * w->n, total))
            return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "stopped before the text was written");
        if (at + 1 == o->doc_tokens) break;
        BG_TRY(bg_session_eval(w->session, &b, w->logits, err));
        bg_team_run(o->team, sample_next, w);
        for (uint32_t i = 0; i < w->n; i++) {
            bool ended = w->text[i * o->doc_tokens + at] == eos && eos != w->start;
            if (!ended) continue;
            bg_session_reset(w->session, i);
            w->last[i] = w->start;
        }
    }
    return BG_OK;
}

static bg_status open_wave(wave *w, const bg_model *m, uint32_t parallel, bg_error *err)
{
    bg_session_options so = {
        .n_ctx = (uint32_t)w->o->doc_tokens, .n_batch = parallel, .n_seq = parallel,
        .isa = w->o->isa, .team = w->o->team,
    };
    w->logits_bytes = (size_t)parallel * w->n_vocab * sizeof(float);
    w->logits = bg_alloc_large(w->logits_bytes);
    w->last = bg_alloc(parallel, sizeof *w->last);
    w->seq = bg_alloc(parallel, sizeof *w->seq);
    w->want = bg_alloc(parallel, 1);
    w->rng = bg_alloc(parallel, sizeof *w->rng);
    if (!w->logits || !w->last || !w->seq || !w->want || !w->rng)
        return bg_fail_nomem(err, "logits", w->logits_bytes);
    for (uint32_t i = 0; i < parallel; i++) {
        w->seq[i] = i;
        w->want[i] = 1;
    }
    return bg_session_open(&w->session, m, &so, err);
}

static void close_wave(wave *w)
{
    bg_session_close(&w->session);
    bg_free_large(w->logits, w->logits_bytes);
    bg_free(w->last);
    bg_free(w->seq);
    bg_free(w->want);
    bg_free(w->rng);
}

bg_status bg_self_text(const bg_model *m, const bg_self_text_options *o, int32_t **tokens,
                       size_t *count, bg_error *err)
{
    const bg_tokenizer *t = bg_model_tokenizer(m);
    uint32_t parallel = o->parallel ? o->parallel : DEFAULT_PARALLEL;
    int32_t bos = bg_tokenizer_bos(t), eos = bg_tokenizer_eos(t);
    wave w = {.o = o, .tokenizer = t, .n_vocab = bg_model_hparams(m)->n_vocab,
              .start = bos >= 0 ? bos : eos >= 0 ? eos : 0};
    bg_status status;
    int32_t *text;
    size_t total;
    *tokens = NULL;
    *count = 0;
    if (o->n_docs == 0 || o->doc_tokens == 0 || o->doc_tokens > UINT32_MAX ||
        __builtin_mul_overflow(o->n_docs, o->doc_tokens, &total))
        return bg_fail(err, BG_ERR_INPUT, NULL, "%zu documents of %zu tokens cannot be written",
                       o->n_docs, o->doc_tokens);
    if (parallel > o->n_docs) parallel = (uint32_t)o->n_docs;
    text = bg_grow(NULL, total, sizeof *text);
    if (!text) return bg_fail_nomem(err, "the text", total * sizeof *text);
    status = open_wave(&w, m, parallel, err);
    for (; status == BG_OK && w.first < o->n_docs; w.first += w.n) {
        w.n = (uint32_t)BG_MIN((size_t)parallel, o->n_docs - w.first);
        w.text = text + w.first * o->doc_tokens;
        status = write_wave(&w, w.first * o->doc_tokens, total, err);
    }
    close_wave(&w);
    if (status != BG_OK) {
        bg_free(text);
        return status;
    }
    *tokens = text;
    *count = total;
    return BG_OK;
}
