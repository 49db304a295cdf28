#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Steps through the words of `list` that `separator` divides. */
static bool next_word(const char **list, char separator, char *word, size_t size)
{
    const char *p = *list, *end;
    while (*p == separator) p++;
    if (!*p) return false;
    end = strchr(p, separator);
    if (!end) end = p + strlen(p);
    snprintf(word, size, "%.*s", (int)(end - p), p);
    *list = end;
    return true;
}

static const bg_opt *find_option(const bg_opt_spec *spec, const char *name)
{
    char word[64];
    for (size_t i = 0; i < spec->n_options; i++) {
        const char *names = spec->options[i].names;
        if (spec->options[i].type == BG_OPT_GROUP) continue;
        while (next_word(&names, ' ', word, sizeof word))
            if (strcmp(word, name) == 0) return &spec->options[i];
    }
    return NULL;
}

static int misuse(const bg_opt_spec *spec, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int misuse(const bg_opt_spec *spec, const char *format, ...)
{
    va_list ap;
    fprintf(stderr, "bitgauge %s: ", spec->command);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr, "; see `bitgauge %s --help`\n", spec->command);
    return BG_EXIT_MISUSE;
}

static int unknown_option(const bg_opt_spec *spec, const char *name)
{
    const char *all[256];
    char words[256][64];
    size_t n = 0;
    const char *near;
    for (size_t i = 0; i < spec->n_options; i++) {
        const char *names = spec->options[i].names;
        if (spec->options[i].type == BG_OPT_GROUP) continue;
        while (n < BG_COUNT(all) && next_word(&names, ' ', words[n], sizeof words[n])) {
            all[n] = words[n];
            n++;
        }
    }
    near = bg_nearest(name, all, n);
    if (near) return misuse(spec, "unknown option %s: did you mean %s?", name, near);
    return misuse(spec, "unknown option %s", name);
}

static void print_help(const bg_opt_spec *spec)
{
    printf("Usage: bitgauge %s %s\n\n%s\n", spec->command, spec->usage, spec->summary);
    for (size_t i = 0; i < spec->n_options; i++) {
        const bg_opt *o = &spec->options[i];
        char left[96], names[64] = "", word[64];
        const char *p = o->names;
        if (i == 0 && o->type != BG_OPT_GROUP) printf("\nOptions:\n");
        if (o->type == BG_OPT_GROUP) {
            printf("\n%s:\n", o->help);
            continue;
        }
        while (next_word(&p, ' ', word, sizeof word)) {
            size_t used = strlen(names);
            snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", word);
        }
        snprintf(left, sizeof left, "%s%s%s", names, o->metavar ? " " : "",
                 o->metavar ? o->metavar : "");
        if (strlen(left) > 26) printf("  %s\n%30s%s\n", left, "", o->help);
        else printf("  %-28s%s\n", left, o->help);
        if (o->choices && o->type != BG_OPT_MAYBE) {
            printf("%30sone of:", "");
            for (p = o->choices; next_word(&p, '|', word, sizeof word);) printf(" %s", word);
            printf("\n");
        }
    }
    printf("  %-28s%s\n", "-h, --help", "print this and stop");
    if (spec->examples) printf("\nExamples:\n%s", spec->examples);
}

static int set_number(const bg_opt_spec *spec, const bg_opt *o, const char *name, const char *text)
{
    char *end;
    double value;
    errno = 0;
    value = strtod(text, &end);
    if (end == text || *end || errno || value != value)
        return misuse(spec, "%s wants a number, not '%s'", name, text);
    if (o->min < o->max && (value < o->min || value > o->max))
        return misuse(spec, "%s wants a number from %.10g to %.10g, not %s", name, o->min, o->max,
                      text);
    if (o->type == BG_OPT_REAL) {
        *(double *)o->target = value;
        return -1;
    }
    if (value < INT_MIN || value > INT_MAX || value != (double)(int)value)
        return misuse(spec, "%s wants a whole number, not '%s'", name, text);
    *(int *)o->target = (int)value;
    return -1;
}

static int set_option(const bg_opt_spec *spec, const bg_opt *o, const char *name, const char *text)
{
    char word[64];
    const char *p;
    switch (o->type) {
    case BG_OPT_INT:
    case BG_OPT_REAL:
        return set_number(spec, o, name, text);
    case BG_OPT_SIZE:
        if (!bg_parse_size(text, o->target))
            return misuse(spec, "%s wants a size such as 5MB or 8GiB, not '%s'", name, text);
        return -1;
    case BG_OPT_LIST: {
        bg_opt_list *list = o->target;
        if (list->n == BG_COUNT(list->values))
            return misuse(spec, "%s was given over %zu times", name, list->n);
        list->values[list->n++] = text;
        return -1;
    }
    case BG_OPT_MAYBE:
        *(const char **)o->target = text;
        return -1;
    default:
        for (p = o->choices; p && next_word(&p, '|', word, sizeof word);)
            if (strcmp(word, text) == 0) break;
            else if (!*p) return misuse(spec, "%s wants one of %s, not '%s'", name, o->choices,
                                        text);
        *(const char **)o->target = text;
        return -1;
    }
}

/* One argument that begins with a dash; may consume the next. */
static int parse_option(const bg_opt_spec *spec, int argc, char **argv, int *i)
{
    char name[64];
    const char *argument = argv[*i], *equals = strchr(argument, '='), *value;
    const bg_opt *o;
    int n = equals ? (int)(equals - argument) : (int)strlen(argument);
    snprintf(name, sizeof name, "%.*s", n, argument);
    o = find_option(spec, name);
    if (!o) return unknown_option(spec, name);
    if (!BG_HAVE_JANSSON && strcmp(name, "--json") == 0)
        return misuse(spec, "--json needs jansson, which this build lacks");
    if (o->type == BG_OPT_FLAG) {
        if (equals) return misuse(spec, "%s takes no value", name);
        *(bool *)o->target = true;
        return -1;
    }
    if (equals) value = equals + 1;
    else if (o->type == BG_OPT_MAYBE && (*i + 1 == argc || argv[*i + 1][0] == '-'))
        value = o->choices;
    else if (*i + 1 < argc) value = argv[++*i];
    else return misuse(spec, "%s wants a value (%s)", name, o->metavar ? o->metavar : "text");
    return set_option(spec, o, name, value);
}

int bg_opt_parse(const bg_opt_spec *spec, int argc, char **argv, const char **words,
                 size_t *n_words)
{
    size_t n = 0;
    bool only_words = false;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (!only_words && (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0)) {
            print_help(spec);
            return BG_EXIT_OK;
        }
        if (!only_words && strcmp(a, "--") == 0) {
            only_words = true;
        } else if (!only_words && a[0] == '-' && a[1]) {
            int status = parse_option(spec, argc, argv, &i);
            if (status >= 0) return status;
        } else if (n < spec->max_words) {
            words[n++] = a;
        } else {
            return misuse(spec, "unexpected argument '%s'", a);
        }
    }
    if (n < spec->min_words) return misuse(spec, "too few arguments: usage is bitgauge %s %s",
                                           spec->command, spec->usage);
    if (n_words) *n_words = n;
    return -1;
}
