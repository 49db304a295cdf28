/* Children that end well, badly, and not at all. */
#include "test.h"

#include "base/process.h"
#include "base/team.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bg_status run_shell(bg_process *p, const char *script, bg_error *err)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    p->argv = argv;
    return bg_process_run(p, err);
}

static void children_end(void **state)
{
    bg_process p = {.dir = "/", .steady = true};
    bg_error err;
    (void)state;
    setenv("BG_TEST_LEAK", "1", 1);
    assert_ok(run_shell(&p, "printf 'one\\n\\ntwo\\n' >&2; test -z \"$BG_TEST_LEAK$HOME\"",
                        &err), &err);
    assert_string_equal(p.how, "");
    assert_string_equal(p.last, "two");
    assert_ok(run_shell(&p, "pwd; exit 3", &err), &err);
    assert_string_equal(p.how, "exit status 3");
    assert_string_equal(p.last, "/");
    assert_ok(run_shell(&p, "kill -SEGV $$", &err), &err);
    assert_non_null(strstr(p.how, "ended by signal 11"));
    /* A long line, and one that a terminal would obey; standard input is empty. */
    assert_ok(run_shell(&p, "head -c 2000 /dev/zero | tr '\\0' x; echo; cat", &err), &err);
    assert_int_equal(strlen(p.last), sizeof p.last - 1);
    assert_ok(run_shell(&p, "printf 'a\\033[2Jb\\n'", &err), &err);
    assert_string_equal(p.last, "a?[2Jb");
    p.argv = (const char *const[]){"/nowhere/valgrind", NULL};
    assert_ok(bg_process_run(&p, &err), &err);
    assert_string_equal(p.how, "it cannot be started");
}

static void output_is_kept(void **state)
{
    enum { LARGE = 64 << 20 };
    bg_process p = {.limit = 1 << 16};
    char *large = bg_alloc(1, LARGE);
    bg_error err;
    (void)state;
    setenv("BG_TEST_LEAK", "1", 1);
    assert_ok(run_shell(&p, "echo a; echo b >&2; echo $BG_TEST_LEAK", &err), &err);
    assert_string_equal(p.output.data, "a\n1\n");
    assert_true(p.seconds > 0);
    bg_text_fini(&p.output);
    /* What this process holds is not the child's. */
    memset(large, 1, LARGE);
    assert_ok(run_shell(&p, "echo a; sleep 0.3", &err), &err);
    assert_true(p.peak_rss > 1e5 && p.peak_rss < LARGE / 2);
    bg_text_fini(&p.output);
    bg_free(large);
    p.merged = true;
    assert_ok(run_shell(&p, "echo a; echo b >&2", &err), &err);
    assert_string_equal(p.output.data, "a\nb\n");
    bg_text_fini(&p.output);
    assert_ok(run_shell(&p, "yes", &err), &err); /* without end */
    assert_string_equal(p.how, "it wrote over 65536 bytes");
    assert_true(p.output.length < 1 << 17);
    bg_text_fini(&p.output);
    p.merged = false;
    assert_ok(run_shell(&p, "yes >&2", &err), &err); /* where nobody keeps it */
    assert_string_equal(p.how, "it wrote over 65536 bytes");
    assert_int_equal(p.output.length, 0);
}

static bool ask(void *user) { return --*(int *)user > 0; }

static void silence_ends(void **state)
{
    int left = 2;
    bg_process p = {.alive = ask, .user = &left};
    bg_process q = {.patience = 0.05};
    bg_error err;
    (void)state;
    assert_fails(run_shell(&p, "exec sleep 60", &err), BG_ERR_INTERRUPTED, "stopped", &err);
    assert_ok(run_shell(&q, "sleep 60; true", &err), &err); /* its child has to end too */
    assert_true(q.late);
    assert_string_equal(q.how, "it was silent for 0.05 s and was ended");
    assert_ok(run_shell(&q, "exec >&- 2>&-; exec sleep 60", &err), &err); /* nothing to listen to */
    assert_true(q.late);
    q.patience = 30;
    assert_ok(run_shell(&q, "sleep 60 & true", &err), &err); /* who stays behind holds the pipe */
    assert_string_equal(q.how, "");
    assert_false(q.late);
    assert_true(q.seconds < 20);
}

/* A team binds the thread that opens it; a child is not bound. */
static void bind_to_first(void *user, int member)
{
    cpu_set_t set;
    (void)user, (void)member;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    for (size_t cpu = 0, found = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set) && found++) CPU_CLR(cpu, &set);
    assert_int_equal(sched_setaffinity(0, sizeof set, &set), 0);
}

static void children_are_not_bound(void **state)
{
    bg_process p = {.limit = 1000};
    bg_team *team;
    cpu_set_t set;
    bg_error err;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    assert_ok(bg_team_open(&team, 1, bind_to_first, NULL, &err), &err);
    assert_ok(run_shell(&p, "nproc", &err), &err);
    assert_int_equal(atoi(p.output.data), CPU_COUNT(&set));
    bg_text_fini(&p.output);
    bg_team_close(&team);
    bg_team_unbind();
}

static void programs_are_found(void **state)
{
    char path[PATH_MAX], file[] = "/tmp/bgprocessXXXXXX";
    bg_error err;
    int fd = mkstemp(file);
    (void)state;
    assert_ok(bg_process_find("sh", path, &err), &err);
    assert_true(path[0] == '/' && access(path, X_OK) == 0);
    assert_fails(bg_process_find("no-such-program", path, &err), BG_ERR_INPUT, "not in PATH", &err);
    assert_fails(bg_process_find("/no/such", path, &err), BG_ERR_INPUT, "No such file", &err);
    assert_fails(bg_process_find("/usr", path, &err), BG_ERR_INPUT, "no program", &err);
    assert_fails(bg_process_find(file, path, &err), BG_ERR_INPUT, "no program", &err);
    assert_int_equal(fchmod(fd, 0700), 0);
    assert_ok(bg_process_find(file, path, &err), &err);
    close(fd);
    unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_end), cmocka_unit_test(output_is_kept),
        cmocka_unit_test(silence_ends), cmocka_unit_test(children_are_not_bound),
        cmocka_unit_test(programs_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
