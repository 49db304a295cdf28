/* Text from a model: one stream, or several side by side in one batch. */
#include "cli/cli.h"
#include "cli/utf8.h"

#include "bitgauge/machine.h"
#include "bitgauge/model.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *model, *prompt, *scheme, *isa;
    int n_predict, seed, parallel, ctx, threads;
    double temperature;
    bool json;
} options;

/* One of the texts. */
typedef struct stream {
    bg_rng rng;
    bg_cli_utf8 utf8;
    bg_text text;             /* clean UTF-8, without the prompt */
    int32_t last;             /* sampled, not yet evaluated */
    int tokens;
    const char *stopped;      /* NULL while it goes on */
} stream;

typedef struct job {
    options o;
    bg_machine *machine;
    bg_team *team;
    bg_model *source, *quantized;
    const bg_model *model;    /* one of the two */
    bg_session *session;
    const bg_tokenizer *tokenizer;
    int32_t *prompt;
    size_t n_prompt;
    uint32_t n_ctx, n_vocab, n_batch;
    stream *streams;
    float *logits;
    int32_t *tokens;          /* [n_batch] of the batch being put together */
    uint32_t *seq;
    uint8_t *want;
    double prompt_seconds, seconds;
    uint64_t generated;
} job;

static void show_quantizing(void *user, double fraction) { bg_cli_progress_show(user, fraction); }

static bg_status open_model(job *j, bg_error *err)
{
    const bg_scheme *scheme;
    bg_cli_progress progress = {.what = "quantizing"};
    char *path;
    bg_status status;
    BG_TRY(bg_cli_model_path(j->o.model, &path, err));
    status = bg_model_open(&j->source, path, err);
    bg_free(path);
    if (status != BG_OK) return status;
    j->model = j->source;
    if (j->o.scheme) {
        BG_TRY(bg_scheme_parse(j->o.scheme, &scheme, err));
        BG_TRY(bg_scheme_check_importance(scheme, false, err));
        status = bg_model_quantize(&j->quantized, j->source, scheme, NULL, j->team, show_quantizing,
                                   &progress, err);
        bg_cli_progress_end(&progress);
        if (status != BG_OK) return status;
        j->model = j->quantized;
    }
    j->tokenizer = bg_model_tokenizer(j->model);
    if (j->tokenizer) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(bg_model_gguf(j->model)),
                   "has no tokenizer: convert the model again with its tokenizer");
}

static bg_status read_prompt(job *j, bg_error *err)
{
    const char *text = j->o.prompt ? j->o.prompt : "";
    int32_t bos = bg_tokenizer_bos(j->tokenizer);
    BG_TRY(bg_tokenize(j->tokenizer, text, strlen(text), true, true, &j->prompt, &j->n_prompt,
                       err));
    if (!j->n_prompt && bos >= 0) { /* whatever the model wants, something must come first */
        bg_tokens_free(j->prompt);
        BG_TRY(bg_tokenize(j->tokenizer, "<s>", 3, false, true, &j->prompt, &j->n_prompt, err));
        if (j->n_prompt) j->prompt[0] = bos;
    }
    if (!j->n_prompt)
        return bg_fail(err, BG_ERR_INPUT, NULL,
                       "the model has no token to begin a text with: give a prompt with -p");
    if (j->n_prompt > j->n_ctx)
        return bg_fail(err, BG_ERR_INPUT, NULL,
                       "the prompt has %zu tokens and the context %u: use a larger --ctx or a "
                       "shorter prompt", j->n_prompt, j->n_ctx);
    return BG_OK;
}

/* The cache is taken from the system as it fills: better to say so now than to be killed then. */
static bg_status check_memory(const job *j, bg_error *err)
{
    uint64_t available = bg_machine_memory_available(j->machine);
    double bytes = (double)bg_model_kv_bytes(j->model, j->n_ctx, 0) * j->o.parallel;
    char need[32], have[32];
    if (!available || bytes <= (double)available) return BG_OK;
    return bg_fail(err, BG_ERR_NOMEM, NULL,
                   "the KV cache of a context of %u takes %s, %s are free: use a smaller --ctx%s",
                   j->n_ctx, bg_format_size(need, sizeof need, bytes),
                   bg_format_size(have, sizeof have, (double)available),
                   j->o.parallel > 1 ? " or --parallel" : "");
}

static bg_status open_session(job *j, bg_error *err)
{
    bg_session_options so = {.team = j->team};
    size_t n = (size_t)j->o.parallel;
    uint32_t trained = bg_model_hparams(j->model)->n_ctx_train;
    j->n_ctx = j->o.ctx ? (uint32_t)j->o.ctx : trained;
    BG_TRY(check_memory(j, err));
    if (j->n_ctx > trained)
        fprintf(stderr, "bitgauge: the model was trained on %u positions; beyond them expect "
                "nonsense\n", trained);
    BG_TRY(read_prompt(j, err));
    BG_TRY(bg_isa_parse(j->o.isa, &so.isa, err));
    j->n_vocab = bg_model_hparams(j->model)->n_vocab;
    j->n_batch = BG_MAX(512u, (uint32_t)n);
    so.n_ctx = j->n_ctx;
    so.n_batch = j->n_batch;
    so.n_seq = (uint32_t)n;
    BG_TRY(bg_session_open(&j->session, j->model, &so, err));
    j->streams = bg_alloc(n, sizeof *j->streams);
    j->logits = bg_alloc(n * j->n_vocab, sizeof *j->logits);
    j->tokens = bg_alloc(j->n_batch, sizeof *j->tokens);
    j->seq = bg_alloc(j->n_batch, sizeof *j->seq);
    j->want = bg_alloc(j->n_batch, sizeof *j->want);
    if (!j->streams || !j->logits || !j->tokens || !j->seq || !j->want)
        return bg_fail_nomem(err, "the texts", n * j->n_vocab * sizeof *j->logits);
    for (size_t i = 0; i < n; i++) bg_rng_seed(&j->streams[i].rng, (uint64_t)j->o.seed + i);
    return BG_OK;
}

static void emit(const job *j, stream *s, const char *bytes, size_t n)
{
    size_t before = s->text.length;
    bg_cli_utf8_add(&s->utf8, bytes, n, &s->text);
    if (j->o.parallel > 1 || j->o.json || s->text.failed) return;
    fwrite(s->text.data + before, 1, s->text.length - before, stdout);
    fflush(stdout);
}

/* Draws the next token of stream i. */
static void advance(job *j, size_t i, const float *logits)
{
    stream *s = &j->streams[i];
    char bytes[256];
    s->last = bg_sample_token(logits, j->n_vocab, j->o.temperature, &s->rng);
    if (s->last == bg_tokenizer_eos(j->tokenizer)) {
        s->stopped = "end";
        return;
    }
    emit(j, s, bytes, BG_MIN(bg_token_bytes(j->tokenizer, s->last, bytes, sizeof bytes),
                             sizeof bytes));
    s->tokens++;
    j->generated++;
    if (s->tokens == j->o.n_predict) s->stopped = "length";
    else if (j->n_prompt + (size_t)s->tokens > j->n_ctx) s->stopped = "context";
}

/* The prompt for every stream, in batches. The last batch of a stream yields its first token. */
static bg_status run_prompt(job *j, bg_error *err)
{
    size_t total = j->n_prompt * (size_t)j->o.parallel;
    uint64_t start = bg_clock_ns();
    for (size_t done = 0; done < total && !bg_cli_interrupted();) {
        bg_batch b = {0, j->tokens, j->seq, j->want};
        size_t wanted = 0;
        for (; done + b.n < total && b.n < j->n_batch; b.n++) {
            size_t at = (done + b.n) % j->n_prompt;
            j->tokens[b.n] = j->prompt[at];
            j->seq[b.n] = (uint32_t)((done + b.n) / j->n_prompt);
            j->want[b.n] = at == j->n_prompt - 1;
        }
        BG_TRY(bg_session_eval(j->session, &b, j->logits, err));
        for (size_t i = 0; i < b.n; i++)
            if (j->want[i]) advance(j, j->seq[i], j->logits + wanted++ * j->n_vocab);
        done += b.n;
    }
    j->prompt_seconds = (double)(bg_clock_ns() - start) * 1e-9;
    return BG_OK;
}

static bg_status run_texts(job *j, bg_error *err)
{
    uint64_t start = bg_clock_ns();
    memset(j->want, 1, j->n_batch);
    j->generated = 0; /* the first token of each came with the prompt */
    while (!bg_cli_interrupted()) {
        bg_batch b = {0, j->tokens, j->seq, j->want};
        for (int i = 0; i < j->o.parallel; i++) {
            if (j->streams[i].stopped) continue;
            j->tokens[b.n] = j->streams[i].last;
            j->seq[b.n++] = (uint32_t)i;
        }
        if (!b.n) break;
        BG_TRY(bg_session_eval(j->session, &b, j->logits, err));
        for (size_t i = 0; i < b.n; i++) advance(j, j->seq[i], j->logits + i * j->n_vocab);
    }
    j->seconds = (double)(bg_clock_ns() - start) * 1e-9;
    return BG_OK;
}

/* ", 83 tokens/s", or nothing where nothing was measured. */
static const char *speed_text(char *buffer, size_t n, double tokens, double seconds)
{
    if (tokens > 0 && seconds > 0) snprintf(buffer, n, ", %.0f tokens/s", tokens / seconds);
    else buffer[0] = '\0';
    return buffer;
}

static json_t *speed_json(double tokens, double seconds)
{
    return tokens > 0 && seconds > 0 ? json_real(tokens / seconds) : json_null();
}

static bg_status print_json(const job *j, bg_error *err)
{
    json_t *texts = json_array(), *root;
    char *out;
    for (int i = 0; i < j->o.parallel; i++) {
        const stream *s = &j->streams[i];
        json_array_append_new(texts, json_pack("{s:i, s:s%, s:i, s:s}", "seed", j->o.seed + i,
                                               "text", s->text.data ? s->text.data : "",
                                               s->text.length, "tokens", s->tokens, "stopped",
                                               s->stopped ? s->stopped : "interrupted"));
    }
    root = json_pack("{s:s, s:s, s:I, s:o, s:o, s:o}", "model", bg_model_hparams(j->model)->name,
                     "prompt", j->o.prompt ? j->o.prompt : "", "prompt_tokens",
                     (json_int_t)j->n_prompt, "prompt_tps",
                     speed_json((double)j->n_prompt * j->o.parallel, j->prompt_seconds),
                     "generated_tps", speed_json((double)j->generated, j->seconds), "texts", texts);
    out = root ? json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_decref(root);
    if (!out) return bg_fail(err, BG_ERR_INPUT, NULL,
                             "the prompt is not valid UTF-8: --json needs it");
    puts(out);
    free(out);
    return BG_OK;
}

static void print_texts(const job *j)
{
    const char *prompt = j->o.prompt ? j->o.prompt : "";
    for (int i = 0; i < j->o.parallel && j->o.parallel > 1; i++) {
        const bg_text *t = &j->streams[i].text;
        if (i) puts("--------");
        fputs(prompt, stdout);
        fwrite(t->data ? t->data : "", 1, t->length, stdout);
        putchar('\n');
    }
    if (j->o.parallel == 1) putchar('\n');
}

static bg_status generate(job *j, bg_error *err)
{
    bool context = false;
    size_t prompt, written = 0;
    char speeds[2][40];
    BG_TRY(bg_cli_team(j->o.threads, true, &j->machine, &j->team, err));
    BG_TRY(open_model(j, err));
    BG_TRY(open_session(j, err));
    bg_cli_catch_interrupt();
    if (j->o.parallel == 1 && !j->o.json && j->o.prompt) fputs(j->o.prompt, stdout);
    BG_TRY(run_prompt(j, err));
    BG_TRY(run_texts(j, err));
    prompt = j->n_prompt * (size_t)j->o.parallel;
    for (int i = 0; i < j->o.parallel; i++) {
        stream *s = &j->streams[i];
        emit(j, s, NULL, 0);
        written += (size_t)s->tokens;
        if (s->text.failed) return bg_fail_nomem(err, "the texts", s->text.capacity);
        context |= s->stopped && strcmp(s->stopped, "context") == 0;
    }
    if (j->o.json) BG_TRY(print_json(j, err));
    else print_texts(j);
    fflush(stdout);
    fprintf(stderr, "prompt %zu tokens%s; generated %zu tokens%s%s\n", prompt,
            speed_text(speeds[0], sizeof speeds[0], (double)prompt, j->prompt_seconds),
            written,
            speed_text(speeds[1], sizeof speeds[1], (double)j->generated, j->seconds),
            context ? "; stopped at the end of the context (--ctx)" : "");
    if (!bg_cli_interrupted()) return BG_OK;
    return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "interrupted: the text is incomplete");
}

static void finish(job *j)
{
    for (int i = 0; j->streams && i < j->o.parallel; i++) bg_text_fini(&j->streams[i].text);
    bg_free(j->streams);
    bg_free(j->logits);
    bg_free(j->tokens);
    bg_free(j->seq);
    bg_free(j->want);
    bg_tokens_free(j->prompt);
    bg_session_close(&j->session);
    bg_model_close(&j->quantized);
    bg_model_close(&j->source);
    bg_team_close(&j->team);
    bg_machine_close(&j->machine);
}

int bg_cmd_generate(int argc, char **argv)
{
    job j = {.o = {.isa = "native", .n_predict = 128, .seed = 1, .parallel = 1, .temperature = 1}};
    options *o = &j.o;
    const char *words[1] = {NULL};
    const bg_opt table[] = {
        {BG_OPT_TEXT, "-m --model", "FILE", "model (default: the embedded one)", &o->model, NULL, 0,
         0},
        {BG_OPT_TEXT, "-p --prompt", "TEXT", "text to go on from (default: none)", &o->prompt, NULL,
         0, 0},
        {BG_OPT_INT, "-n --n-predict", "N", "most tokens to write (default 128)", &o->n_predict,
         NULL, 1, 1e9},
        {BG_OPT_REAL, "--temp", "T", "temperature; 0 takes the likeliest token (default 1)",
         &o->temperature, NULL, 0, 100},
        {BG_OPT_INT, "-s --seed", "N", "of the random draws (default 1)", &o->seed, NULL, 0, 2e9},
        {BG_OPT_INT, "-np --parallel", "N", "texts to write at once, with seeds from --seed on",
         &o->parallel, NULL, 1, 4096},
        {BG_OPT_INT, "-c --ctx --ctx-size", "N", "context (default: that of the training)", &o->ctx,
         NULL, 1, 1 << 30},
        {BG_OPT_TEXT, "--scheme", "S", "quantize to this scheme first, in memory", &o->scheme, NULL,
         0, 0},
        {BG_OPT_INT, "-t --threads", "N", "threads (default: one a usable core)", &o->threads, NULL,
         1, 4096},
        {BG_OPT_TEXT, "--isa", "NAME", "best instruction set to use (default: native)", &o->isa,
         NULL, 0, 0},
        {BG_OPT_FLAG, "--json", NULL, "texts and speeds for programs", &o->json, NULL, 0, 0},
    };
    const bg_opt_spec spec = {
        .command = "generate", .usage = "[MODEL] [options]",
        .summary = "Lets a model write, and says how fast it did.",
        .examples = "  bitgauge generate -p 'def main():' -n 200\n"
                    "  bitgauge generate --scheme Q4_K_M --temp 0\n"
                    "  bitgauge generate model.gguf --parallel 8 --json\n",
        .options = table, .n_options = BG_COUNT(table), .max_words = 1,
    };
    bg_error err = {.status = BG_OK};
    bg_status status;
    int parsed = bg_opt_parse(&spec, argc, argv, words, NULL);
    if (parsed >= 0) return parsed;
    if (words[0]) o->model = words[0];
    status = generate(&j, &err);
    finish(&j);
    return status == BG_OK ? BG_EXIT_OK : bg_cli_fail(&err);
}
