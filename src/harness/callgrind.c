/* The parent's side: valgrind, a folder for it, and one child a test. */
#include "bitgauge/simulated.h"

#include "harness/workdir.h"

#include "base/file.h"
#include "base/process.h"

#include "bitgauge/model.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

/* One core of a server, but for the last level: less than the embedded model takes in any scheme,
 * so that weights come from memory as those of larger models do. bytes,ways,line. */
static const char L1I[] = "32768,8,64", L1D[] = "32768,8,64", LAST_LEVEL[] = "1048576,16,64";

/* The names in the folder are fixed, for the arguments lie on the child's stack. */
static const char PROGRAM[] = "bitgauge", MODEL[] = "model.gguf", DUMP[] = "counts.1";
enum { DUMP_LIMIT = 64 << 20 };

struct bg_callgrind {
    bg_workdir work;
    char valgrind[PATH_MAX], version[64];
};

/* The start of the program is a link in the folder, so that its path is always the same. */
static bg_status link_program(const bg_callgrind *c, bg_error *err)
{
    char self[PATH_MAX], link[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    bg_workdir_path(&c->work, PROGRAM, link);
    if (n > 0) self[n] = 0;
    if (n > 0 && symlink(self, link) == 0) return BG_OK;
    return bg_fail(err, BG_ERR_IO, link, "cannot be linked to the running program (%s)",
                   strerror(errno));
}

#if BG_HAVE_VALGRIND
static bg_status find_valgrind(bg_callgrind *c, bg_error *err)
{
    bg_process p = {.argv = (const char *const[]){c->valgrind, "--version", NULL}, .steady = true};
    if (bg_process_find("valgrind", c->valgrind, NULL) != BG_OK)
        return bg_fail(err, BG_ERR_UNSUPPORTED, "--counters callgrind", "valgrind is not installed "
                       "(apt install valgrind), or not in PATH");
    BG_TRY(bg_process_run(&p, err));
    if (strncmp(p.last, "valgrind-", 9) != 0)
        return bg_fail(err, BG_ERR_UNSUPPORTED, c->valgrind, "does not tell its version (%s): "
                       "install valgrind anew", p.last[0] ? p.last : p.how);
    snprintf(c->version, sizeof c->version, "%.63s", p.last);
    return BG_OK;
}
#else
static bg_status find_valgrind(bg_callgrind *c, bg_error *err)
{
    (void)c;
    return bg_fail(err, BG_ERR_UNSUPPORTED, "--counters callgrind", "%s", BG_NO_VALGRIND);
}
#endif

bg_status bg_callgrind_open(bg_callgrind **out, bg_error *err)
{
    bg_callgrind *c = bg_alloc(1, sizeof *c);
    bg_status status;
    *out = NULL;
    if (!c) return bg_fail_nomem(err, "counters", sizeof *c);
    c->work.lock = -1;
    status = find_valgrind(c, err);
    if (status == BG_OK) status = bg_workdir_open(&c->work, err);
    if (status == BG_OK) status = link_program(c, err);
    if (status == BG_OK) *out = c;
    else bg_callgrind_close(&c);
    return status;
}

void bg_callgrind_close(bg_callgrind **callgrind)
{
    bg_callgrind *c = *callgrind;
    if (!c) return;
    bg_workdir_close(&c->work);
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
    bg_workdir_path(&c->work, MODEL, to);
    unlink(to);
    if (scheme) return bg_quantize_file(path, to, scheme, importance, team, hear, &l, err);
    if (realpath(path, from) && symlink(from, to) == 0) return BG_OK;
    return bg_fail(err, BG_ERR_IO, path, "cannot be linked from %s (%s)", c->work.dir,
                   strerror(errno));
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
    bg_process p = {.dir = c->work.dir, .argv = argv, .steady = true, .alive = alive, .user = user};
    snprintf(n_prompt, sizeof n_prompt, "%u", t->n_prompt);
    snprintf(n_gen, sizeof n_gen, "%u", t->n_gen);
    snprintf(depth, sizeof depth, "%u", t->depth);
    snprintf(i1, sizeof i1, "--I1=%s", L1I);
    snprintf(d1, sizeof d1, "--D1=%s", L1D);
    snprintf(ll, sizeof ll, "--LL=%s", LAST_LEVEL);
    bg_workdir_path(&c->work, DUMP, dump);
    unlink(dump);
    BG_TRY(bg_process_run(&p, err));
    if (p.how[0])
        return bg_fail(err, BG_ERR_UNSUPPORTED, "valgrind", "%s%s%s", p.how, p.last[0] ? ": " : "",
                       p.last);
    BG_TRY(read_dump(dump, per_token, err));
    for (bg_sim i = 0; i < BG_SIM_COUNT; i++) per_token[i] /= t->n_prompt + t->n_gen;
    return BG_OK;
}
