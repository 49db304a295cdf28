#include "cli/tune.h"

#include <string.h>

enum { SELF_WINDOWS = 256 };             /* of the text that a model writes for this */
#define TEXT_LIMIT ((size_t)500 << 20)

typedef struct shown { bg_cli_progress line; uint64_t said_ns; } shown;

static bool show_writing(void *user, uint64_t done, uint64_t total)
{
    bg_cli_progress_show(user, (double)done / (double)total);
    return !bg_cli_interrupted();
}

static bool show_step(void *user, const bg_tune_progress *p)
{
    shown *s = user;
    uint64_t now = bg_clock_ns();
    char what[120];
    if (now - s->said_ns > 200000000u || p->step == p->steps) {
        s->said_ns = now;
        snprintf(what, sizeof what, "tuning, KL divergence %.4f from %.4f, %.0f tokens/s", p->best,
                 p->start, (double)p->tokens / p->seconds);
        s->line.what = what;
        bg_cli_progress_show(&s->line, (double)p->step / (double)p->steps);
    }
    return !bg_cli_interrupted();
}

static bg_status get_tokens(const bg_cli_tune_request *r, const bg_model *m, bg_isa isa,
                            bg_team *team, int32_t **tokens, size_t *n, bg_error *err)
{
    bg_cli_progress line = {.what = "writing calibration text"};
    bg_self_text_options o = {
        .n_docs = SELF_WINDOWS, .doc_tokens = r->ctx ? (size_t)r->ctx : 512, .temperature = 1,
        .seed = (uint64_t)r->seed + 1000, .isa = isa, .team = team, .progress = show_writing,
        .user = &line,
    };
    bg_status s;
    char *text;
    size_t bytes;
    if (r->calib && strcmp(r->calib, "self") != 0) {
        BG_TRY(bg_file_read(&text, &bytes, r->calib, TEXT_LIMIT, err));
        s = bg_tokenize(bg_model_tokenizer(m), text, bytes, true, false, tokens, n, err);
        bg_free(text);
        return s;
    }
    s = bg_self_text(m, &o, tokens, n, err);
    bg_cli_progress_end(&line);
    return s;
}

bg_status bg_cli_tune_on(const bg_cli_tune_request *r, const bg_model *m, const int32_t *tokens,
                         size_t n_tokens, bg_image *image, bg_team *team, bg_error *err)
{
    bg_tuner_options to = {.n_ctx = (uint32_t)r->ctx, .windows = (uint32_t)r->windows,
                           .own = r->own, .team = team};
    shown line = {.said_ns = 0};
    bg_tune_options o = {.steps = (uint64_t)r->steps, .seconds = 60 * r->minutes, .rate = r->rate,
                         .scale_rate = r->scale_rate, .seed = (uint64_t)r->seed,
                         .progress = show_step, .user = &line};
    bg_tune_progress p;
    bg_tuner *t = NULL;
    bg_status s = bg_isa_parse("native", &to.isa, err);
    if (s == BG_OK) s = bg_tuner_open(&t, m, tokens, n_tokens, &to, err);
    if (s == BG_OK) s = bg_tuner_run(t, image, &o, &p, err);
    bg_cli_progress_end(&line.line);
    if (s == BG_OK)
        fprintf(stderr, "tuned by %llu steps of %llu tokens: KL divergence on held-out calibration "
                "text %.5f, before %.5f\n", (unsigned long long)p.step,
                (unsigned long long)(p.tokens / BG_MAX(p.step, (uint64_t)1)), p.best, p.start);
    bg_tuner_close(&t);
    return s;
}

bg_status bg_cli_tune(const bg_cli_tune_request *r, const char *model, bg_image *image,
                      bg_team *team, bg_error *err)
{
    bg_isa isa;
    int32_t *tokens = NULL;
    size_t n;
    bg_model *m;
    bg_status s;
    BG_TRY(bg_isa_parse("native", &isa, err));
    BG_TRY(bg_model_open(&m, model, err));
    s = get_tokens(r, m, isa, team, &tokens, &n, err);
    if (s == BG_OK) s = bg_cli_tune_on(r, m, tokens, n, image, team, err);
    bg_tokens_free(tokens);
    bg_model_close(&m);
    return s;
}
