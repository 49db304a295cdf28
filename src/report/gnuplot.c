#include "report/gnuplot.h"

#include "base/file.h"
#include "base/process.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bg_gnuplot {
    const char *plots;
    char *dir;
    bg_text numbers;
    bool unwritten;      /* a data file */
};

enum { DRAWING_LIMIT = 64 << 20, MESSAGES_LIMIT = 1 << 20 };

/* What gnuplot makes, in the order of PNG=0, PNG=1. */
static const struct { const char *type, *ending; } drawings[] = {{"svg", "</svg>"},
                                                                 {"png", "IEND"}};

/* The script is copied to where it runs, so that it finds its neighbours by plain names. */
static bg_status copy_template(const bg_gnuplot *g, const char *name, const char *as, bg_error *err)
{
    char relative[128], *from, *to = bg_path_join(g->dir, as), *text = NULL;
    size_t n = 0;
    bg_status status = BG_OK;
    snprintf(relative, sizeof relative, "templates/%s.gp", name);
    from = bg_data_path(relative);
    if (!from)
        status = bg_fail(err, BG_ERR_UNSUPPORTED, relative, "is not installed: install bitgauge "
                         "again, or set BITGAUGE_DATA to the folder that holds templates/");
    else if (!to) status = bg_fail_nomem(err, "a plot", strlen(g->dir));
    if (status == BG_OK) status = bg_file_read(&text, &n, from, 1 << 20, err);
    if (status == BG_OK) status = bg_file_write(to, text, n, err);
    bg_free(text);
    bg_free(from);
    bg_free(to);
    return status;
}

bg_status bg_gnuplot_open(bg_gnuplot **out, const char *plots, bg_error *err)
{
    bg_gnuplot *g = bg_alloc(1, sizeof *g);
    bg_status status = BG_OK;
    *out = NULL;
    if (g) g->dir = bg_path_join(plots, ".work-XXXXXX");
    if (!g || !g->dir) {
        bg_free(g);
        return bg_fail_nomem(err, "plots", sizeof *g);
    }
    g->plots = plots;
    if (!mkdtemp(g->dir)) {
        status = bg_fail(err, BG_ERR_IO, plots, "cannot be written (%s)", strerror(errno));
        g->dir[0] = 0;
    } else {
        status = copy_template(g, "common", "common.gp", err);
    }
    if (status != BG_OK) bg_gnuplot_close(&g);
    *out = g;
    return status;
}

void bg_gnuplot_close(bg_gnuplot **gnuplot)
{
    bg_gnuplot *g = gnuplot ? *gnuplot : NULL;
    DIR *dir;
    if (!g) return;
    dir = g->dir[0] ? opendir(g->dir) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) unlinkat(dirfd(dir), e->d_name, 0);
    if (dir) closedir(dir);
    if (g->dir[0]) rmdir(g->dir);
    bg_text_fini(&g->numbers);
    bg_free(g->dir);
    bg_free(g);
    *gnuplot = NULL;
}

FILE *bg_gnuplot_data(bg_gnuplot *g, const char *name)
{
    char *path = bg_path_join(g->dir, name);
    FILE *f = path ? fopen(path, "we") : NULL;
    g->unwritten = g->unwritten || !f;
    bg_free(path);
    return f;
}

bool bg_gnuplot_end(bg_gnuplot *g, FILE *f)
{
    bool failed = !f || ferror(f);
    if (f) failed = fclose(f) != 0 || failed;
    g->unwritten = g->unwritten || failed;
    return !failed;
}

bg_status bg_gnuplot_check(const bg_gnuplot *g, bg_error *err)
{
    if (!g->unwritten) return BG_OK;
    return bg_fail(err, BG_ERR_IO, g->plots, "cannot be written: free some space or choose another "
                   "folder");
}

void bg_gnuplot_number(bg_gnuplot *g, const char *name, double value)
{
    bg_text_printf(&g->numbers, "%s=%.12g;", name, value);
}

/* What gnuplot says is for whoever reads the log, on one line. */
static bg_status run(const bg_gnuplot *g, const char *script, const char *numbers, bg_error *err)
{
    char path[PATH_MAX];
    const char *const argv[] = {path, "-d", "-e", numbers, "script.gp", NULL};
    bg_process p = {.argv = argv, .dir = g->dir, .merged = true, .limit = MESSAGES_LIMIT};
    bg_status status;
    if (bg_process_find("gnuplot", path, NULL) != BG_OK)
        return bg_fail(err, BG_ERR_UNSUPPORTED, "gnuplot",
                       "is not installed: install it (apt install gnuplot-nox) to get plots");
    status = bg_process_run(&p, err);
    for (char *s = p.output.data; s && *s; s++)
        if (*s == '\n' || *s == '\r' || *s == '\t') *s = ' ';
    if (status == BG_OK && p.how[0])
        status = bg_fail(err, BG_ERR_UNSUPPORTED, script, "gnuplot failed: %.300s",
                         p.output.length ? p.output.data : "it gave no reason");
    bg_text_fini(&p.output);
    return status;
}

/* gnuplot does not tell of a disk that is full: whole drawings have this near their end. */
static bool is_whole(const char *path, const char *ending)
{
    char *data = NULL;
    size_t size = 0, tail = 16;
    bool whole = bg_file_read(&data, &size, path, DRAWING_LIMIT, NULL) == BG_OK && size >= tail &&
                 memmem(data + size - tail, tail, ending, strlen(ending));
    bg_free(data);
    return whole;
}

static bg_status move_out(const bg_gnuplot *g, const char *name, size_t k, bg_error *err)
{
    const char *type = drawings[k].type;
    char file[128], *from, *to;
    bg_status status = BG_OK;
    snprintf(file, sizeof file, "plot.%s", type);
    from = bg_path_join(g->dir, file);
    snprintf(file, sizeof file, "%s.%s", name, type);
    to = bg_path_join(g->plots, file);
    if (!from || !to) status = bg_fail_nomem(err, "a plot", 256);
    else if (!is_whole(from, drawings[k].ending))
        status = bg_fail(err, BG_ERR_IO, to, "cannot be written whole: free some space or choose "
                         "another folder");
    else if (rename(from, to) != 0)
        status = bg_fail(err, BG_ERR_IO, to, "cannot be written (%s)", strerror(errno));
    bg_free(from);
    bg_free(to);
    return status;
}

bg_status bg_gnuplot_run(bg_gnuplot *g, const char *script, const char *name, bg_error *err)
{
    bg_text numbers = g->numbers;
    bg_status status = copy_template(g, script, "script.gp", err);
    size_t length = numbers.length;
    memset(&g->numbers, 0, sizeof g->numbers);
    for (size_t i = 0; i < BG_COUNT(drawings) && status == BG_OK; i++) {
        bg_text_printf(&numbers, "PNG=%zu", i);
        if (numbers.failed) status = bg_fail_nomem(err, "a plot", 256);
        if (status == BG_OK) status = run(g, script, numbers.data, err);
        if (status == BG_OK) status = move_out(g, name, i, err);
        numbers.length = length;
    }
    bg_text_fini(&numbers);
    return status;
}
