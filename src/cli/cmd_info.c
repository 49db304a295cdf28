#include "cli/info.h"

#include "bitgauge/search.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_SHOWN = 64, ARRAY_SHOWN = 4 };

/* ---- finding out ------------------------------------------------------------------------- */

static const bg_gguf_value *find_number(const bg_info *info, const char *name)
{
    char key[160];
    if (!info->architecture.data) return NULL;
    snprintf(key, sizeof key, "%.*s.%s", (int)BG_MIN(info->architecture.length, (size_t)64),
             info->architecture.data, name);
    return bg_gguf_find(info->g, key);
}

/* A number under the architecture's prefix; of a list (one for each layer) the first. */
static uint64_t number(const bg_info *info, const char *name)
{
    const bg_gguf_value *v = find_number(info, name);
    int64_t n;
    return v && bg_gguf_element_i64(v, 0, &n) && n > 0 ? (uint64_t)n : 0;
}

static int most_bytes(const void *a, const void *b)
{
    const bg_info_type *x = a, *y = b;
    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static void count_tensors(bg_info *info)
{
    for (size_t i = 0; i < bg_gguf_tensor_count(info->g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(info->g, i);
        size_t k = 0;
        info->n_params += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
        info->weight_bytes += t->bytes;
        while (k < info->n_types && info->types[k].type_id != t->type_id) k++;
        if (k == BG_INFO_TYPES) continue;
        if (k == info->n_types) info->types[info->n_types++].type_id = t->type_id;
        info->types[k].tensors++;
        info->types[k].bytes += t->bytes;
    }
    qsort(info->types, info->n_types, sizeof info->types[0], most_bytes);
}

static void find_out(bg_info *info, const bg_shape *shape)
{
    const bg_gguf *g = info->g;
    const bg_gguf_value *tokens = bg_gguf_find(g, "tokenizer.ggml.tokens");
    bg_model *m = NULL;
    bg_gguf_get_string(g, "general.architecture", &info->architecture);
    bg_gguf_get_string(g, "general.name", &info->name);
    bg_gguf_get_string(g, "tokenizer.ggml.model", &info->tokenizer);
    info->n_layer = number(info, "block_count");
    info->n_embd = number(info, "embedding_length");
    info->n_ff = number(info, "feed_forward_length");
    info->n_head = number(info, "attention.head_count");
    info->n_head_kv = number(info, "attention.head_count_kv");
    info->n_ctx_train = number(info, "context_length");
    info->n_vocab = tokens && tokens->type == BG_GGUF_ARRAY ? tokens->count
                                                            : number(info, "vocab_size");
    count_tensors(info);
    info->runs = shape || bg_model_open(&m, bg_gguf_path(g), &info->why_not) == BG_OK;
    info->shape = shape != NULL;
    info->window = m ? bg_model_hparams(m)->window : 0;
    bg_model_close(&m);
}

/* ---- for people -------------------------------------------------------------------------- */

/* At most `most` bytes of a string, without breaking a character, control characters escaped. */
static void append_text(bg_text *out, bg_gguf_string s, size_t most)
{
    size_t n = BG_MIN(s.length, most);
    while (n < s.length && n > 0 && ((unsigned char)s.data[n] & 0xc0) == 0x80) n--;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c == '\n') bg_text_puts(out, "\\n");
        else if (c == '\t') bg_text_puts(out, "\\t");
        else if (c < 0x20 || c == 0x7f) bg_text_printf(out, "\\x%02x", c);
        else bg_text_append(out, &s.data[i], 1);
    }
    if (n < s.length) bg_text_printf(out, "... (%zu bytes)", s.length);
}

static void append_element(bg_text *out, const bg_gguf_value *v, uint64_t i)
{
    bg_gguf_type type = v->type == BG_GGUF_ARRAY ? v->element_type : v->type;
    int64_t integer;
    double real;
    if (type == BG_GGUF_BOOL && bg_gguf_element_i64(v, i, &integer))
        bg_text_puts(out, integer ? "true" : "false");
    else if (type != BG_GGUF_F32 && type != BG_GGUF_F64 && bg_gguf_element_i64(v, i, &integer))
        bg_text_printf(out, "%lld", (long long)integer);
    else if (bg_gguf_element_f64(v, i, &real))
        bg_text_printf(out, type == BG_GGUF_F32 ? "%.7g" : "%.16g", real);
}

static void append_value(bg_text *out, const bg_gguf_value *v)
{
    bg_gguf_string s;
    size_t offset = 0;
    uint64_t shown = BG_MIN(v->count, (uint64_t)ARRAY_SHOWN);
    if (v->type == BG_GGUF_STRING && bg_gguf_next_string(v, &offset, &s)) {
        append_text(out, s, TEXT_SHOWN);
        return;
    }
    if (v->type != BG_GGUF_ARRAY) {
        append_element(out, v, 0);
        return;
    }
    bg_text_puts(out, "[");
    for (uint64_t i = 0; i < shown; i++) {
        if (i) bg_text_puts(out, ", ");
        if (bg_gguf_next_string(v, &offset, &s)) append_text(out, s, TEXT_SHOWN / ARRAY_SHOWN);
        else append_element(out, v, i);
    }
    bg_text_puts(out, v->count > shown ? ", ...]" : "]");
}

static void append_metadata(bg_text *out, const bg_gguf *g)
{
    int width = 0;
    for (size_t i = 0; i < bg_gguf_value_count(g); i++)
        width = BG_MAX(width, (int)BG_MIN(strlen(bg_gguf_value_at(g, i)->key), (size_t)44));
    bg_text_puts(out, "\nMetadata:\n");
    for (size_t i = 0; i < bg_gguf_value_count(g); i++) {
        const bg_gguf_value *v = bg_gguf_value_at(g, i);
        char type[32];
        if (v->type != BG_GGUF_ARRAY) snprintf(type, sizeof type, "%s", bg_gguf_type_name(v->type));
        else snprintf(type, sizeof type, "%s[%llu]", bg_gguf_type_name(v->element_type),
                      (unsigned long long)v->count);
        bg_text_printf(out, "  %-*s  %-14s  ", width, v->key, type);
        append_value(out, v);
        bg_text_puts(out, "\n");
    }
}

static void append_tensors(bg_text *out, const bg_gguf *g)
{
    int width = 6;
    for (size_t i = 0; i < bg_gguf_tensor_count(g); i++)
        width = BG_MAX(width, (int)BG_MIN(strlen(bg_gguf_tensor_at(g, i)->name), (size_t)44));
    bg_text_printf(out, "\nTensors:\n  %-*s  %-8s  %12s  shape\n", width, "name", "format",
                   "bytes");
    for (size_t i = 0; i < bg_gguf_tensor_count(g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, i);
        bg_text_printf(out, "  %-*s  %-8s  %12zu  %llu", width, t->name,
                       bg_gguf_tensor_type_name(t->type_id), t->bytes,
                       (unsigned long long)t->ne[0]);
        for (uint32_t d = 1; d < t->n_dims; d++)
            bg_text_printf(out, " x %llu", (unsigned long long)t->ne[d]);
        bg_text_puts(out, "\n");
    }
}

static void append_field(bg_text *out, const char *name, bg_gguf_string s)
{
    bg_text_printf(out, "  %-14s", name);
    if (s.data) append_text(out, s, TEXT_SHOWN);
    else bg_text_puts(out, "not given");
    bg_text_puts(out, "\n");
}

/* "8.13 million". */
static void append_count(bg_text *out, uint64_t n)
{
    double x = (double)n;
    if (n < 10000) bg_text_printf(out, "%llu", (unsigned long long)n);
    else if (x < 1e6) bg_text_printf(out, "%.1f thousand", x / 1e3);
    else if (x < 1e9) bg_text_printf(out, "%.*f million", x < 1e8 ? 2 : 0, x / 1e6);
    else bg_text_printf(out, "%.2f billion", x / 1e9);
}

/* "1536", or "512 to 1536" where layers differ. */
static void append_range(bg_text *out, const bg_info *info, const char *name)
{
    const bg_gguf_value *v = find_number(info, name);
    int64_t least = 0, most = 0, n;
    for (uint64_t i = 0; v && i < v->count && bg_gguf_element_i64(v, i, &n); i++) {
        least = i ? BG_MIN(least, n) : n;
        most = i ? BG_MAX(most, n) : n;
    }
    bg_text_printf(out, "%lld", (long long)least);
    if (most != least) bg_text_printf(out, " to %lld", (long long)most);
}

static void append_shape(bg_text *out, const bg_info *info)
{
    if (info->n_layer) {
        bg_text_printf(out, "  %-14s%llu, %llu wide, feed-forward ", "layers",
                       (unsigned long long)info->n_layer, (unsigned long long)info->n_embd);
        append_range(out, info, "feed_forward_length");
        bg_text_puts(out, "\n");
    }
    if (info->n_head) {
        bg_text_printf(out, "  %-14s", "attention");
        append_range(out, info, "attention.head_count");
        bg_text_puts(out, info->n_head == 1 ? " head" : " heads");
        if (info->n_head_kv && info->n_head_kv != info->n_head) {
            bg_text_puts(out, " that share ");
            append_range(out, info, "attention.head_count_kv");
            bg_text_puts(out, info->n_head_kv == 1 ? " key-value head" : " key-value heads");
        }
        if (info->window)
            bg_text_printf(out, ", some layers see the last %u tokens only", info->window);
        bg_text_puts(out, "\n");
    }
    if (info->n_ctx_train)
        bg_text_printf(out, "  %-14s%llu tokens\n", "context",
                       (unsigned long long)info->n_ctx_train);
}

/* What a search took away. */
static void append_pruned(bg_text *out, const bg_info *info)
{
    char words[192];
    if (bg_pruned_describe(info->g, words, sizeof words))
        bg_text_printf(out, "  %-14s%s\n", "pruned away", words);
}

static void append_tokenizer(bg_text *out, const bg_info *info)
{
    static const struct { const char *name, *kind; } kinds[] = {
        {"llama", "SentencePiece"}, {"gpt2", "byte-level BPE"}, {"bert", "WordPiece"},
        {"t5", "Unigram"}, {"rwkv", "RWKV"},
    };
    bg_gguf_string s = info->tokenizer;
    if (!s.data) {
        bg_text_printf(out, "  %-14snone in this file\n", "tokenizer");
        return;
    }
    bg_text_printf(out, "  %-14s", "tokenizer");
    append_text(out, s, TEXT_SHOWN);
    for (size_t i = 0; i < BG_COUNT(kinds); i++)
        if (s.length == strlen(kinds[i].name) && memcmp(s.data, kinds[i].name, s.length) == 0)
            bg_text_printf(out, " (%s)", kinds[i].kind);
    if (info->n_vocab) bg_text_printf(out, ", %llu tokens", (unsigned long long)info->n_vocab);
    bg_text_puts(out, "\n");
}

static void append_sizes(bg_text *out, const bg_info *info)
{
    char size[32];
    uint64_t type;
    bg_text_printf(out, "  %-14s", "parameters");
    append_count(out, info->n_params);
    bg_text_printf(out, "\n  %-14s%s", info->shape ? "weights" : "file",
                   bg_format_size(size, sizeof size, info->shape
                                                         ? (double)info->weight_bytes
                                                         : (double)bg_gguf_file_bytes(info->g)));
    if (info->n_params)
        bg_text_printf(out, ", %.2f bits per weight",
                       8.0 * (double)info->weight_bytes / (double)info->n_params);
    bg_text_printf(out, ", GGUF version %u\n", bg_gguf_version(info->g));
    if (bg_gguf_get_u64(info->g, "general.file_type", &type)) {
        const char *name = "unknown here";
        for (size_t i = bg_scheme_count(); i-- > 0;)
            if (bg_scheme_file_type(bg_scheme_at(i)) == type)
                name = bg_scheme_name(bg_scheme_at(i));
        bg_text_printf(out, "  %-14s%s (general.file_type %llu)\n", "scheme",
                       type == 0 ? "F32" : name, (unsigned long long)type);
    }
    for (size_t i = 0; i < info->n_types; i++)
        bg_text_printf(out, "  %-14s%-8s %4llu tensor%s %9s\n", i ? "" : "formats",
                       bg_gguf_tensor_type_name(info->types[i].type_id),
                       (unsigned long long)info->types[i].tensors,
                       info->types[i].tensors == 1 ? " " : "s",
                       bg_format_size(size, sizeof size, (double)info->types[i].bytes));
}

static int print_text(const bg_info *info, bool tensors)
{
    bg_text out = {0};
    bg_error err;
    bg_text_printf(&out, "%s\n", bg_gguf_path(info->g));
    append_field(&out, "name", info->name);
    append_field(&out, "architecture", info->architecture);
    append_shape(&out, info);
    append_pruned(&out, info);
    append_tokenizer(&out, info);
    append_sizes(&out, info);
    if (info->runs) bg_text_printf(&out, "  %-14syes\n", "runs here");
    else bg_text_printf(&out, "  %-14sno: %s\n", "runs here", info->why_not.message);
    append_metadata(&out, info->g);
    if (tensors) append_tensors(&out, info->g);
    if (out.failed) {
        bg_text_fini(&out);
        bg_fail_nomem(&err, "the output", 0);
        return bg_cli_fail(&err);
    }
    fputs(out.data, stdout);
    bg_text_fini(&out);
    return BG_EXIT_OK;
}

int bg_cmd_info(int argc, char **argv)
{
    bool json = false, tensors = false, list = false;
    const char *shape_name = NULL;
    const bg_opt options[] = {
        {.type = BG_OPT_FLAG, .names = "--tensors", .help = "list the tensors too",
         .target = &tensors},
        {.type = BG_OPT_TEXT, .names = "--shape", .metavar = "NAME", .target = &shape_name,
         .help = "a known model, as its F16 file would be"},
        {.type = BG_OPT_FLAG, .names = "--list-shapes", .help = "list the known models",
         .target = &list},
        {.type = BG_OPT_FLAG, .names = "--json", .help = "print JSON", .target = &json},
    };
    const bg_opt_spec spec = {
        .command = "info", .usage = "[FILE] [options]",
        .summary = "Shows what a GGUF file holds, and whether bitgauge can run it. --list-shapes "
                   "lists the\nmodels whose sizes are known: they can be timed without their "
                   "weights (--shape).",
        .examples = "  bitgauge info model.gguf\n  bitgauge info model.gguf --tensors --json\n"
                    "  bitgauge info --shape codellama-34b\n",
        .options = options, .n_options = BG_COUNT(options), .max_words = 1,
    };
    const char *word = NULL;
    bg_gguf *g = NULL;
    bg_shape *shape = NULL;
    char *path = NULL;
    bg_error err;
    bg_status s;
    int status = bg_opt_parse(&spec, argc, argv, &word, NULL);
    if (status >= 0) return status;
    if (list) return bg_cli_list_shapes(json);
    if (shape_name) {
        s = bg_shape_open(&shape, shape_name, &err);
    } else {
        s = bg_cli_model_path(word, &path, &err);
        if (s == BG_OK) s = bg_gguf_open(&g, path, &err);
        bg_free(path);
    }
    if (s != BG_OK) return bg_cli_fail(&err);
    bg_info info = {.g = shape ? bg_shape_gguf(shape) : g};
    find_out(&info, shape);
    status = json ? bg_info_print_json(&info, tensors) : print_text(&info, tensors);
    bg_gguf_close(&g);
    bg_shape_close(&shape);
    return status;
}
