/* The parent's side: valgrind, a folder for it, and one child a test. */
#include "bitgauge/simulated.h"

#include "harness/spawn.h"

#include "base/file.h"

#include "bitgauge/model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* One core of a server, but for the last level: less than the embedded model takes in any scheme,
 * so that weights come from memory as those of larger models do. bytes,ways,line. */
static const char L1I[] = "32768,8,64", L1D[] = "32768,8,64", LAST_LEVEL[] = "1048576,16,64";

/* The names in the folder are fixed, for the arguments lie on the child's stack. */
static const char PROGRAM[] = "bitgauge", MODEL[] = "model.gguf", COUNTS[] = "counts",
                  DUMP[] = "counts.1";
#define FOLDER "bitgauge-count-"
enum { DUMP_LIMIT = 64 << 20 };

struct bg_callgrind {
    char dir[PATH_MAX], valgrind[PATH_MAX], version[64];
    int lock;                      /* of the folder: whose is not locked has no owner; -1: none */
};

static void join(char out[PATH_MAX], const char *dir, const char *name)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    if (n < 0 || n >= PATH_MAX) out[0] = 0; /* names nothing */
}

/* Along $PATH, but for its relative folders: the child runs in another. */
static bool find_program(const char *name, char out[PATH_MAX])
{
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t n = strcspn(path, ":");
        char dir[PATH_MAX];
        struct stat st;
        snprintf(dir, sizeof dir, "%.*s", (int)BG_MIN(n, sizeof dir - 1), path);
        join(out, dir, name);
        if (dir[0] == '/' && access(out, X_OK) == 0 && stat(out, &st) == 0 && S_ISREG(st.st_mode))
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

/* The folder is open: what has its path now may be another. */
static void remove_folder(int fd, const char *dir)
{
    static const char *const names[] = {PROGRAM, MODEL, COUNTS, DUMP};
    for (size_t i = 0; i < BG_COUNT(names); i++) unlinkat(fd, names[i], 0);
    rmdir(dir);
}

/* Opens a folder of this user's that nobody has locked; -1: it is none. */
static int lock_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
        flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (fd >= 0) close(fd);
    return -1;
}

/* Folders of processes that were killed hold a model each. */
static void remove_stale(const char *parent)
{
    DIR *d = opendir(parent);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        char path[PATH_MAX];
        int lock;
        if (strncmp(e->d_name, FOLDER, sizeof FOLDER - 1) != 0) continue;
        join(path, parent, e->d_name);
        lock = lock_folder(path);
        if (lock < 0) continue;
        remove_folder(lock, path);
        close(lock);
    }
    if (d) closedir(d);
}

/* The start of the program is a link in the folder, so that its path is always the same. */
static bg_status make_folder(bg_callgrind *c, bg_error *err)
{
    const char *parent = getenv("TMPDIR");
    char self[PATH_MAX], link[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (!parent || parent[0] != '/') parent = "/tmp";
    remove_stale(parent);
    join(c->dir, parent, FOLDER "XXXXXX");
    if (!mkdtemp(c->dir)) {
        c->dir[0] = 0;
        return bg_fail(err, BG_ERR_IO, parent, "cannot make a temporary folder (%s): set TMPDIR to "
                       "one that can be written", strerror(errno));
    }
    c->lock = lock_folder(c->dir);
    if (n > 0) self[n] = 0;
    join(link, c->dir, PROGRAM);
    if (c->lock >= 0 && n > 0 && symlink(self, link) == 0) return BG_OK;
    if (c->lock < 0) rmdir(c->dir);
    return bg_fail(err, BG_ERR_IO, link, "cannot be linked to the running program (%s)",
                   strerror(errno));
}

#if BG_HAVE_VALGRIND
static bg_status find_valgrind(bg_callgrind *c, bg_error *err)
{
    bg_spawn s = {.dir = "/", .argv = (const char *const[]){c->valgrind, "--version", NULL}};
    if (!find_program("valgrind", c->valgrind))
        return bg_fail(err, BG_ERR_UNSUPPORTED, "--counters callgrind", "valgrind is not installed "
                       "(apt install valgrind), or not in PATH");
    BG_TRY(bg_spawn_run(&s, err));
    if (strncmp(s.last, "valgrind-", 9) != 0)
        return bg_fail(err, BG_ERR_UNSUPPORTED, c->valgrind, "does not tell its version (%s): "
                       "install valgrind anew", s.last[0] ? s.last : s.how);
    snprintf(c->version, sizeof c->version, "%s", s.last);
    return BG_OK;
}
#else
static bg_status find_valgrind(bg_callgrind *c, bg_error *err)
{
    (void)c;
    (void)find_program;
    return bg_fail(err, BG_ERR_UNSUPPORTED, "--counters callgrind", "%s", BG_NO_VALGRIND);
}
#endif

bg_status bg_callgrind_open(bg_callgrind **out, bg_error *err)
{
    bg_callgrind *c = bg_alloc(1, sizeof *c);
    bg_status status;
    *out = NULL;
    if (!c) return bg_fail_nomem(err, "counters", sizeof *c);
    c->lock = -1;
    status = find_valgrind(c, err);
    if (status == BG_OK) status = make_folder(c, err);
    if (status == BG_OK) *out = c;
    else bg_callgrind_close(&c);
    return status;
}

void bg_callgrind_close(bg_callgrind **callgrind)
{
    bg_callgrind *c = *callgrind;
    if (!c) return;
    if (c->lock >= 0) {
        remove_folder(c->lock, c->dir);
        close(c->lock);
    }
    bg_free(c);
    *callgrind = NULL;
}

char *bg_callgrind_settings(const bg_callgrind *c)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "tool", c->version, "I1", L1I, "D1", L1D, "LL",
                          LAST_LEVEL);
    char *text = o ? json_dumps(o, JSON_SORT_KEYS) : NULL;
    json_decref(o);
    return text;
}

typedef struct listener { bg_sim_alive *alive; void *user; } listener;

static bool hear(void *user, double fraction)
{
    const listener *l = user;
    (void)fraction;
    return !l->alive || l->alive(l->user);
}

bg_status bg_callgrind_model(bg_callgrind *c, const char *path, const bg_scheme *scheme,
                             const struct bg_importance *importance, struct bg_team *team,
                             bg_sim_alive *alive, void *user, bg_error *err)
{
    listener l = {alive, user};
    char to[PATH_MAX], from[PATH_MAX];
    join(to, c->dir, MODEL);
    unlink(to);
    if (scheme) return bg_quantize_file(path, to, scheme, importance, team, hear, &l, err);
    if (realpath(path, from) && symlink(from, to) == 0) return BG_OK;
    return bg_fail(err, BG_ERR_IO, path, "cannot be linked from %s (%s)", c->dir, strerror(errno));
}

static bg_status read_dump(const char *path, double counts[BG_SIM_COUNT], bg_error *err)
{
    char *text;
    size_t n;
    bg_status status;
    BG_TRY(bg_file_read(&text, &n, path, DUMP_LIMIT, err));
    status = bg_callgrind_parse(text, DUMP, counts, err);
    bg_free(text);
    return status;
}

bg_status bg_callgrind_count(bg_callgrind *c, const bg_sim_test *t, bg_sim_alive *alive,
                             void *user, double per_token[BG_SIM_COUNT], bg_error *err)
{
    char dump[PATH_MAX], n_prompt[16], n_gen[16], depth[16], i1[48], d1[48], ll[48];
    const char *const argv[] = {
        c->valgrind, "--command-line-only=yes", "-q", "--vgdb=no", "--tool=callgrind",
        "--instr-atstart=no", "--cache-sim=yes", "--branch-sim=yes", i1, d1, ll, "--dump-line=no",
        "--callgrind-out-file=counts", "./bitgauge", "count", MODEL, bg_isa_name(t->isa), n_prompt,
        n_gen, depth, NULL};
    bg_spawn s = {.dir = c->dir, .argv = argv, .alive = alive, .user = user};
    snprintf(n_prompt, sizeof n_prompt, "%u", t->n_prompt);
    snprintf(n_gen, sizeof n_gen, "%u", t->n_gen);
    snprintf(depth, sizeof depth, "%u", t->depth);
    snprintf(i1, sizeof i1, "--I1=%s", L1I);
    snprintf(d1, sizeof d1, "--D1=%s", L1D);
    snprintf(ll, sizeof ll, "--LL=%s", LAST_LEVEL);
    join(dump, c->dir, DUMP);
    unlink(dump);
    BG_TRY(bg_spawn_run(&s, err));
    if (s.how[0])
        return bg_fail(err, BG_ERR_UNSUPPORTED, "valgrind", "%s%s%s", s.how, s.last[0] ? ": " : "",
                       s.last);
    BG_TRY(read_dump(dump, per_token, err));
    for (bg_sim i = 0; i < BG_SIM_COUNT; i++) per_token[i] /= t->n_prompt + t->n_gen;
    return BG_OK;
}
