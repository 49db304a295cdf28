/* Words of a text, by regular expressions with Unicode's properties. All that is known of PCRE2. */
#include "model/tokenizer.h"

#include <string.h>

#if BG_HAVE_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct bg_splitter {
    pcre2_code *patterns[BG_MAX_PATTERNS];
    unsigned n_patterns;
    pcre2_match_context *context;
};

typedef struct splitting {
    const bg_splitter *s;
    pcre2_match_data *match;
    const char *text;  /* as it is, */
    const char *valid; /* and with only UTF-8 in it, byte for byte */
    bg_word_fn *word;
    void *user;
    int error;         /* PCRE2's, or 0 */
} splitting;

static bg_status compile(bg_splitter *s, const char *pattern, bg_error *err)
{
    int code;
    size_t where;
    pcre2_code *p = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_DOTALL, &code, &where, NULL);
    if (!p)
        return bg_fail(err, BG_ERR_UNSUPPORTED, NULL,
                       "PCRE2 cannot read the pattern of the model's words (error %d at byte %zu): "
                       "install a newer libpcre2", code, where);
    /* Without it, where it is not to be had, patterns are interpreted: slower, else the same. */
    (void)pcre2_jit_compile(p, PCRE2_JIT_COMPLETE);
    s->patterns[s->n_patterns++] = p;
    return BG_OK;
}

bg_status bg_splitter_open(bg_splitter **out, const bg_pretokenizer *p, bg_error *err)
{
    bg_splitter *s = bg_alloc(1, sizeof *s);
    bg_status status = BG_OK;
    *out = NULL;
    if (!s || !(s->context = pcre2_match_context_create(NULL))) {
        bg_free(s);
        return bg_fail_nomem(err, "the pattern of words", sizeof *s);
    }
    /* The limit counts every place where a match is tried, so that a long text reaches it; no
     * pattern of the table needs more than linear time. */
    pcre2_set_match_limit(s->context, UINT32_MAX);
    for (size_t i = 0; i < BG_MAX_PATTERNS && p->patterns[i] && status == BG_OK; i++)
        status = compile(s, p->patterns[i], err);
    if (status == BG_OK) *out = s;
    else bg_splitter_close(&s);
    return status;
}

void bg_splitter_close(bg_splitter **splitter)
{
    bg_splitter *s = *splitter;
    if (!s) return;
    for (unsigned i = 0; i < s->n_patterns; i++) pcre2_code_free(s->patterns[i]);
    pcre2_match_context_free(s->context);
    bg_free(s);
    *splitter = NULL;
}

/* Cuts a part of the text by one pattern, and what is left of it by the next. A match does not see
 * past the ends of the part. */
static bool split(splitting *r, unsigned level, size_t begin, size_t end)
{
    PCRE2_SPTR part = (PCRE2_SPTR)r->valid + begin;
    size_t n = end - begin, done = 0;
    if (level >= BG_MIN(r->s->n_patterns, BG_COUNT(r->s->patterns)))
        return r->word(r->user, r->text + begin, n);
    while (done < n) {
        const size_t *found = pcre2_get_ovector_pointer(r->match);
        size_t from, to;
        int rc = pcre2_match(r->s->patterns[level], part, n, done,
                             PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, r->match, r->s->context);
        if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) r->error = rc;
        if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) return false;
        from = rc < 0 ? n : found[0];
        to = rc < 0 ? n : found[1];
        if (from > done && !split(r, level + 1, begin + done, begin + from)) return false;
        if (to > from && !split(r, level + 1, begin + from, begin + to)) return false;
        done = to;
    }
    return true;
}

/* U+0001 in place of each byte that is no UTF-8: neither letter, number, space nor punctuation. */
static char *make_valid(const char *text, size_t n)
{
    char *valid = bg_grow(NULL, n, 1);
    if (!valid) return NULL;
    memcpy(valid, text, n);
    for (size_t i = 0; i < n;) {
        uint32_t length = bg_character_length(text + i, n - i);
        if (length == 1 && (uint8_t)text[i] >= 0x80) valid[i] = 1;
        i += length;
    }
    return valid;
}

bg_status bg_splitter_run(const bg_splitter *s, const char *text, size_t n, bg_word_fn *word,
                          void *user, bg_error *err)
{
    char *valid = make_valid(text, n);
    splitting r = {.s = s, .text = text, .valid = valid, .word = word, .user = user,
                   .match = pcre2_match_data_create(1, NULL)};
    bool ok = valid && r.match && split(&r, 0, 0, n);
    pcre2_match_data_free(r.match);
    bg_free(valid);
    if (r.error)
        return bg_fail(err, BG_ERR_UNSUPPORTED, NULL,
                       "PCRE2 gave up (error %d) on a text of %zu bytes: take a part of it",
                       r.error, n);
    return ok ? BG_OK : bg_fail_nomem(err, "the words of the text", n);
}

#else

bg_status bg_splitter_open(bg_splitter **out, const bg_pretokenizer *p, bg_error *err)
{
    (void)p;
    *out = NULL;
    return bg_fail(err, BG_ERR_UNSUPPORTED, NULL,
                   "this program was built without PCRE2, which byte-level vocabularies (\"gpt2\") "
                   "need: install libpcre2-dev and build again");
}

void bg_splitter_close(bg_splitter **s) { *s = NULL; }

bg_status bg_splitter_run(const bg_splitter *s, const char *text, size_t n, bg_word_fn *word,
                          void *user, bg_error *err)
{
    (void)s; (void)text; (void)n; (void)word; (void)user;
    return bg_fail(err, BG_ERR_UNSUPPORTED, NULL, "built without PCRE2");
}
#endif
