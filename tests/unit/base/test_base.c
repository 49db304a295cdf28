#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "base/team.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void sizes(void **state)
{
    static const struct { const char *text; uint64_t bytes; } good[] = {
        {"4096", 4096}, {"5MB", 5000000}, {"1.5GiB", 1610612736}, {"2 k", 2000}, {"0", 0},
    };
    static const char *const bad[] = {"", "MB", "-1", "5XB", "1e300", "nan", "5MBs"};
    uint64_t bytes;
    char text[32];
    (void)state;
    for (size_t i = 0; i < BG_COUNT(good); i++) {
        assert_true(bg_parse_size(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < BG_COUNT(bad); i++) assert_false(bg_parse_size(bad[i], &bytes));
    assert_string_equal(bg_format_size(text, sizeof text, 5169664), "5.17 MB");
    assert_string_equal(bg_format_size(text, sizeof text, 999), "999 B");
    assert_string_equal(bg_format_duration(text, sizeof text, 83.4), "1:23");
}

static void nearest(void **state)
{
    static const char *const names[] = {"Q4_K_M", "Q6_K", "Q8_0"};
    (void)state;
    assert_string_equal(bg_nearest("q4_km", names, 3), "Q4_K_M");
    assert_null(bg_nearest("banana", names, 3));
}

static void random_is_fixed(void **state)
{
    /* The published first output for state {1, 2, 3, 4} of xoshiro256++. */
    bg_rng rng = {{1, 2, 3, 4}};
    double sum = 0, squares = 0;
    (void)state;
    assert_true(bg_rng_u64(&rng) == 41943041u);
    assert_true(bg_rng_u64(&rng) == 58720359u);
    bg_rng_seed(&rng, 7);
    for (int i = 0; i < 100000; i++) {
        double x = bg_rng_normal(&rng);
        sum += x;
        squares += x * x;
    }
    assert_true(sum / 1e5 < 0.02 && sum / 1e5 > -0.02);
    assert_true(squares / 1e5 < 1.02 && squares / 1e5 > 0.98);
    for (int i = 0; i < 1000; i++) assert_true(bg_rng_below(&rng, 7) < 7);
}

static void memory_overflow(void **state)
{
    (void)state;
    assert_null(bg_alloc(SIZE_MAX / 2, 4));
    assert_null(bg_grow(NULL, SIZE_MAX / 2, 4));
    assert_null(bg_alloc(SIZE_MAX, 1));
}

static void files_are_atomic(void **state)
{
    char dir[] = "/tmp/bgtestXXXXXX", *path, *text;
    bg_error err;
    bg_outfile *f;
    (void)state;
    assert_non_null(mkdtemp(dir));
    path = bg_path_join(dir, "a");
    assert_ok(bg_outfile_open(&f, path, &err), &err);
    fputs("half", bg_outfile_stream(f));
    bg_outfile_discard(&f);
    assert_false(bg_file_exists(path));
    assert_ok(bg_file_write(path, "whole", 5, &err), &err);
    assert_ok(bg_file_read(&text, NULL, path, 100, &err), &err);
    assert_string_equal(text, "whole");
    bg_free(text);
    assert_fails(bg_file_read(&text, NULL, path, 3, &err), BG_ERR_INPUT, "larger", &err);
    assert_fails(bg_file_write("/dev/null/x", "", 0, &err), BG_ERR_IO, "create", &err);
    assert_fails(bg_dir_create(path, &err), BG_ERR_IO, "is a file", &err);
    unlink(path);
    assert_int_equal(rmdir(dir), 0); /* no temporary is left */
    bg_free(path);
}

/* A limit on the size of files stands in for a disk that fills up. */
static void full_disk_is_seen(void **state)
{
    static const char data[100000];
    char dir[] = "/tmp/bgtestXXXXXX", *path;
    struct rlimit before, small;
    bg_error err;
    (void)state;
    assert_non_null(mkdtemp(dir));
    path = bg_path_join(dir, "a");
    assert_ok(bg_file_write(path, "old", 3, &err), &err);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){4096, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bg_status status = bg_file_write(path, data, sizeof data, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);
    assert_fails(status, BG_ERR_IO, "cannot write", &err);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 3); /* what was there stays */
    unlink(path);
    assert_int_equal(rmdir(dir), 0); /* no temporary is left */
    bg_free(path);
}

static void only_files_are_mapped(void **state)
{
    char dir[] = "/tmp/bgtestXXXXXX", *path;
    bg_map map;
    bg_error err;
    (void)state;
    assert_fails(bg_map_open(&map, "/nonexistent", &err), BG_ERR_IO, "check the path", &err);
    assert_fails(bg_map_open(&map, "/", &err), BG_ERR_INPUT, "regular", &err);
    assert_non_null(mkdtemp(dir));
    path = bg_path_join(dir, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(20); /* instead of waiting for a writer for ever */
    assert_fails(bg_map_open(&map, path, &err), BG_ERR_INPUT, "regular", &err);
    alarm(0);
    unlink(path);
    rmdir(dir);
    bg_free(path);
}

/* The reason is that of the first folder that could not be made, not that the last is missing. */
static void folders_say_why(void **state)
{
    bg_error err;
    (void)state;
    if (!bg_file_exists("/sys/kernel")) skip();
    assert_fails(bg_dir_create("/sys/bitgauge/x", &err), BG_ERR_IO, "create the folder", &err);
    assert_null(strstr(err.message, strerror(ENOENT)));
}

enum { ROUNDS = 400 }; /* teams larger than the machine spin their whole slices away */
struct work { bg_team *team; int values[4]; long total[4]; };

static void step(void *user, int member, int size)
{
    struct work *w = user;
    for (int round = 0; round < 3; round++) {
        w->values[member] = round + 1;
        bg_team_barrier(w->team);
        for (int i = 0; i < size; i++) w->total[member] += w->values[i];
        bg_team_barrier(w->team);
    }
}

static void team_runs_together(void **state)
{
    (void)state;
    for (int size = 1; size <= 4; size++) {
        struct work w = {0};
        bg_error err;
        assert_ok(bg_team_open(&w.team, size, NULL, NULL, &err), &err);
        for (int i = 0; i < ROUNDS / size; i++) bg_team_run(w.team, step, &w);
        for (int i = 0; i < size; i++)
            assert_int_equal(w.total[i], (long)(ROUNDS / size) * 6 * size);
        bg_team_close(&w.team);
        assert_null(w.team);
    }
}

static void shares_cover(void **state)
{
    (void)state;
    for (size_t n = 0; n < 70; n++)
        for (int size = 1; size < 6; size++) {
            size_t next = 0, begin, end;
            for (int i = 0; i < size; i++) {
                bg_team_share(n, 16, i, size, &begin, &end);
                assert_int_equal(begin, next);
                assert_true(begin % 16 == 0 || begin == n);
                next = end;
            }
            assert_int_equal(next, n);
        }
}

static void text_grows(void **state)
{
    bg_text t = {0};
    (void)state;
    for (int i = 0; i < 1000; i++) bg_text_printf(&t, "%d,", i % 10);
    assert_int_equal(t.length, 2000);
    bg_text_printf(&t, "%2000d", 1);
    assert_int_equal(strlen(t.data), 4000);
    bg_text_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes), cmocka_unit_test(nearest), cmocka_unit_test(random_is_fixed),
        cmocka_unit_test(memory_overflow), cmocka_unit_test(files_are_atomic),
        cmocka_unit_test(full_disk_is_seen), cmocka_unit_test(only_files_are_mapped),
        cmocka_unit_test(folders_say_why), cmocka_unit_test(team_runs_together),
        cmocka_unit_test(shares_cover), cmocka_unit_test(text_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
