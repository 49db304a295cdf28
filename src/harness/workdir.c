#include "harness/workdir.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FOLDER "bitgauge-work-"

static void join(char out[PATH_MAX], const char *dir, const char *name)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    if (n < 0 || n >= PATH_MAX) out[0] = 0; /* names nothing */
}

/* Ends of the names of all files that are put there: nobody else's are removed. */
static const char *const ours[] = {"bitgauge", ".gguf", "counts", "counts.1", ".kld", "text.txt"};

static bool is_ours(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < BG_COUNT(ours); i++) {
        size_t n = strlen(ours[i]);
        if (length >= n && strcmp(name + length - n, ours[i]) == 0) return true;
    }
    return false;
}

/* The folder is open: what has its path now may be another. */
static void remove_folder(int fd, const char *dir)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    for (struct dirent *e; d && (e = readdir(d));)
        if (is_ours(e->d_name)) unlinkat(fd, e->d_name, 0);
    if (d) closedir(d);
    bg_dir_clean(dir); /* files that were being written */
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

bg_status bg_workdir_open(bg_workdir *w, bg_error *err)
{
    const char *parent = getenv("TMPDIR");
    w->lock = -1;
    if (!parent || parent[0] != '/') parent = "/tmp";
    remove_stale(parent);
    join(w->dir, parent, FOLDER "XXXXXX");
    if (!w->dir[0] || !mkdtemp(w->dir)) {
        w->dir[0] = 0;
        return bg_fail(err, BG_ERR_IO, parent, "cannot make a temporary folder (%s): set TMPDIR to "
                       "one that can be written", strerror(errno));
    }
    w->lock = lock_folder(w->dir);
    if (w->lock >= 0) return BG_OK;
    rmdir(w->dir);
    return bg_fail(err, BG_ERR_IO, w->dir, "cannot be locked (%s): set TMPDIR to another folder",
                   strerror(errno));
}

void bg_workdir_close(bg_workdir *w)
{
    if (w->lock < 0) return;
    remove_folder(w->lock, w->dir);
    close(w->lock);
    w->lock = -1;
}

const char *bg_workdir_path(const bg_workdir *w, const char *name, char out[PATH_MAX])
{
    join(out, w->dir, name);
    return out;
}

uint64_t bg_workdir_free(const bg_workdir *w)
{
    struct statvfs s;
    return statvfs(w->dir, &s) == 0 ? (uint64_t)s.f_bavail * s.f_frsize : 0;
}
