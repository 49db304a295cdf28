#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bg_status fail_errno(bg_error *err, const char *path, const char *what)
{
    int e = errno;
    const char *remedy = e == ENOENT   ? ": check the path"
                         : e == EACCES || e == EPERM ? ": check the permissions"
                         : e == ENOSPC ? ": free some space or choose another folder"
                         : e == EROFS  ? ": choose a folder that can be written"
                                       : "";
    return bg_fail(err, BG_ERR_IO, path, "cannot %s (%s)%s", what, strerror(e), remedy);
}

bg_status bg_map_open(bg_map *map, const char *path, bg_error *err)
{
    struct stat st;
    void *p = NULL;
    /* Without O_NONBLOCK a named pipe would wait here for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    map->data = NULL;
    map->size = 0;
    if (fd < 0) return fail_errno(err, path, "open");
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return bg_fail(err, BG_ERR_INPUT, path, "is not a regular file: give the path of a file");
    }
    if (st.st_size > 0) {
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            fail_errno(err, path, "map");
            close(fd);
            return BG_ERR_IO;
        }
    }
    close(fd);
    map->data = p;
    map->size = (size_t)st.st_size;
    return BG_OK;
}

void bg_map_close(bg_map *map)
{
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    map->data = NULL;
    map->size = 0;
}

bg_status bg_file_read(char **text, size_t *size, const char *path, size_t limit, bg_error *err)
{
    size_t n = 0, capacity = 4096;
    bg_status status = BG_OK;
    char *data = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *text = NULL;
    if (fd < 0) return fail_errno(err, path, "open");
    for (;;) {
        char *bigger = data;
        ssize_t got;
        if (!data || n + 1 >= capacity) {
            if (data) capacity *= 2;
            bigger = bg_grow(data, capacity, 1);
        }
        if (!bigger) {
            status = bg_fail_nomem(err, path, capacity);
            break;
        }
        data = bigger;
        got = read(fd, data + n, capacity - n - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            status = fail_errno(err, path, "read");
            break;
        }
        if (got == 0) break;
        n += (size_t)got;
        if (n > limit) {
            status = bg_fail(err, BG_ERR_INPUT, path,
                             "is larger than %zu bytes: is it the right file?", limit);
            break;
        }
    }
    close(fd);
    if (status != BG_OK) {
        bg_free(data);
        return status;
    }
    data[n] = 0;
    *text = data;
    if (size) *size = n;
    return BG_OK;
}

static const char temporary_mark[] = ".tmp.";

struct bg_outfile {
    FILE *stream;
    char *path, *temporary;
};

bg_status bg_outfile_open(bg_outfile **out, const char *path, bg_error *err)
{
    size_t n = strlen(path) + 16;
    bg_outfile *f = bg_alloc(1, sizeof *f);
    struct stat st;
    mode_t mask;
    int fd;
    *out = NULL;
    /* The rename at the end would fail on a folder, after all the work, and replace a device. */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        bg_free(f);
        return bg_fail(err, BG_ERR_IO, path, "is there and no regular file: choose another name");
    }
    if (!f) return bg_fail_nomem(err, path, sizeof *f);
    f->path = bg_strdup(path);
    f->temporary = bg_alloc(n, 1);
    if (!f->path || !f->temporary) {
        bg_outfile_discard(&f);
        return bg_fail_nomem(err, path, n);
    }
    snprintf(f->temporary, n, "%s%sXXXXXX", path, temporary_mark);
    fd = mkstemp(f->temporary);
    if (fd < 0) {
        bg_status s = fail_errno(err, path, "create");
        f->temporary[0] = 0;
        bg_outfile_discard(&f);
        return s;
    }
    mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask);
    f->stream = fdopen(fd, "wb");
    if (!f->stream) {
        bg_status s = fail_errno(err, path, "create");
        close(fd);
        bg_outfile_discard(&f);
        return s;
    }
    *out = f;
    return BG_OK;
}

FILE *bg_outfile_stream(bg_outfile *f) { return f->stream; }

bool bg_outfile_resize(bg_outfile *f, size_t size)
{
    int fd = fileno(f->stream);
    if (size == 0 || fallocate(fd, 0, 0, (off_t)size) == 0) return true;
    return errno != ENOSPC && errno != EFBIG && ftruncate(fd, (off_t)size) == 0;
}

bool bg_outfile_write_at(bg_outfile *f, const void *data, size_t n, size_t at)
{
    const uint8_t *p = data;
    while (n) {
        ssize_t done = pwrite(fileno(f->stream), p, n, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done == 0) errno = ENOSPC;
        if (done <= 0) return false;
        p += done;
        at += (size_t)done;
        n -= (size_t)done;
    }
    return true;
}

bg_status bg_outfile_commit(bg_outfile **out, bg_error *err)
{
    bg_outfile *f = *out;
    bg_status s = BG_OK;
    /* ferror keeps an earlier failed write that later writes would hide, but not its reason: one
     * more byte is likely to fail of the same. */
    bool failed = ferror(f->stream);
    if (failed && pwrite(fileno(f->stream), "", 1, lseek(fileno(f->stream), 0, SEEK_END)) == 1)
        errno = ENOSPC;
    if (failed || fflush(f->stream) != 0 || fsync(fileno(f->stream)) != 0)
        s = fail_errno(err, f->path, "write");
    if (s == BG_OK) {
        int closed = fclose(f->stream);
        f->stream = NULL;
        if (closed == 0 && rename(f->temporary, f->path) == 0) f->temporary[0] = 0;
        else s = fail_errno(err, f->path, "write");
    }
    bg_outfile_discard(out);
    return s;
}

void bg_outfile_discard(bg_outfile **out)
{
    bg_outfile *f = out ? *out : NULL;
    if (!f) return;
    if (f->stream) fclose(f->stream);
    if (f->temporary && f->temporary[0]) unlink(f->temporary);
    bg_free(f->temporary);
    bg_free(f->path);
    bg_free(f);
    *out = NULL;
}

bg_status bg_outfile_try(const char *path, bg_error *err)
{
    bg_outfile *f;
    BG_TRY(bg_outfile_open(&f, path, err));
    bg_outfile_discard(&f);
    return BG_OK;
}

bg_status bg_file_write(const char *path, const void *data, size_t n, bg_error *err)
{
    bg_outfile *f;
    BG_TRY(bg_outfile_open(&f, path, err));
    fwrite(data, 1, n, bg_outfile_stream(f));
    return bg_outfile_commit(&f, err);
}

/* Keeps the first reason why a folder could not be made: the later ones follow from it. */
static void make_folder(const char *path, int *reason)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST && !*reason) *reason = errno;
}

bg_status bg_dir_create(const char *path, bg_error *err)
{
    char *copy = bg_strdup(path);
    struct stat st;
    int reason = 0;
    if (!copy) return bg_fail_nomem(err, path, strlen(path));
    for (char *p = copy + 1; *copy && *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        make_folder(copy, &reason);
        *p = '/';
    }
    make_folder(copy, &reason);
    bg_free(copy);
    if (stat(path, &st) != 0) {
        if (reason) errno = reason;
        return fail_errno(err, path, "create the folder");
    }
    if (!S_ISDIR(st.st_mode))
        return bg_fail(err, BG_ERR_IO, path, "is a file: choose another name for the folder");
    if (access(path, W_OK) != 0) return fail_errno(err, path, "write to the folder");
    return BG_OK;
}

void bg_dir_clean(const char *path)
{
    enum { RANDOM = 6 }; /* characters of mkstemp */
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d)) != NULL) {
        size_t n = strlen(e->d_name), mark = sizeof temporary_mark - 1 + RANDOM;
        if (n > mark && strncmp(e->d_name + n - mark, temporary_mark, mark - RANDOM) == 0)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d) closedir(d);
}

bool bg_file_exists(const char *path) { return access(path, F_OK) == 0; }

bool bg_file_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

char *bg_path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *p = bg_alloc(n, 1);
    bool slash = dir[0] && dir[strlen(dir) - 1] == '/';
    if (p) snprintf(p, n, "%s%s%s", dir, slash || !dir[0] ? "" : "/", name);
    return p;
}
