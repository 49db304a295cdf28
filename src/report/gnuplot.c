#include "report/gnuplot.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct bg_gnuplot {
    const char *plots;
    char *dir;
    bg_text numbers;
    bool unwritten;      /* a data file */
};

static const char *const messages = "messages.txt";

enum { DRAWING_LIMIT = 64 << 20 };

/* What gnuplot makes, in the order of PNG=0, PNG=1. */
static const struct { const char *type, *ending; } drawings[] = {{"svg", "</svg>"}, {"png", "IEND"}};

/* The script is copied to where it runs, so that it finds its neighbours by plain names. */
static bg_status copy_template(const bg_gnuplot *g, const char *name, const char *as, bg_error *err)
{
    char relative[128], *from, *to = bg_path_join(g->dir, as), *text = NULL;
    size_t n = 0;
    bg_status status = BG_OK;
    snprintf(relative, sizeof relative, "templates/%s.gp", name);
    from = bg_data_path(relative);
    if (!from)
        status = bg_fail(err, BG_ERR_UNSUPPORTED, relative, "is not installed: install bitgauge again, or "
                         "set BITGAUGE_DATA to the folder that holds templates/");
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

static bg_status spawn(const bg_gnuplot *g, const char *numbers, int *exit_status, bg_error *err)
{
    char *argv[] = {(char *)(uintptr_t)"gnuplot", (char *)(uintptr_t)"-d", (char *)(uintptr_t)"-e",
                    (char *)(uintptr_t)numbers, (char *)(uintptr_t)"script.gp", NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int e, wait_status;
    if (posix_spawn_file_actions_init(&actions) != 0) return bg_fail_nomem(err, "gnuplot", 0);
    e = posix_spawn_file_actions_addchdir_np(&actions, g->dir);
    if (!e) e = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!e) e = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (!e) e = posix_spawn_file_actions_addopen(&actions, 2, messages,
                                                 O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (!e) e = posix_spawnp(&pid, "gnuplot", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (e == ENOENT)
        return bg_fail(err, BG_ERR_UNSUPPORTED, "gnuplot",
                       "is not installed: install it (apt install gnuplot-nox) to get plots");
    if (e) return bg_fail(err, BG_ERR_IO, "gnuplot", "cannot be started (%s)", strerror(e));
    while (waitpid(pid, &wait_status, 0) < 0)
        if (errno != EINTR) return bg_fail(err, BG_ERR_IO, "gnuplot", "was lost");
    *exit_status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128;
    return BG_OK;
}

/* What gnuplot said, on one line. */
static bg_status fail_gnuplot(const bg_gnuplot *g, const char *script, bg_error *err)
{
    char *path = bg_path_join(g->dir, messages), *text = NULL;
    bg_status status;
    if (path) bg_file_read(&text, NULL, path, 1 << 20, NULL);
    for (char *p = text; p && *p; p++)
        if (*p == '\n' || *p == '\r' || *p == '\t') *p = ' ';
    status = bg_fail(err, BG_ERR_UNSUPPORTED, script, "gnuplot failed: %.300s",
                     text && *text ? text : "it gave no reason");
    bg_free(text);
    bg_free(path);
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
        int failed = 0;
        bg_text_printf(&numbers, "PNG=%zu", i);
        if (numbers.failed) status = bg_fail_nomem(err, "a plot", 256);
        if (status == BG_OK) status = spawn(g, numbers.data, &failed, err);
        if (status == BG_OK && failed) status = fail_gnuplot(g, script, err);
        if (status == BG_OK) status = move_out(g, name, i, err);
        numbers.length = length;
    }
    bg_text_fini(&numbers);
    return status;
}
