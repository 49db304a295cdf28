/* file.h: files are read whole through a map, and appear whole or not at all. Internal. */
#ifndef BG_FILE_H
#define BG_FILE_H

#include "base/base.h"

/* A file mapped read-only. data is NULL only when size is 0. */
typedef struct bg_map { const uint8_t *data; size_t size; } bg_map;
bg_status bg_map_open(bg_map *map, const char *path, bg_error *err);
void bg_map_close(bg_map *map);

/* Reads a whole small text file; NUL-terminated; free with bg_free. Works on /proc and /sys.
 * Refuses files over `limit` bytes. */
bg_status bg_file_read(char **text, size_t *size, const char *path, size_t limit, bg_error *err);

/* Atomic output: written beside the target under a temporary name, then fsync + rename on
 * commit. A failed write (disk full) surfaces at commit, and the temporary is removed. */
typedef struct bg_outfile bg_outfile;
bg_status bg_outfile_open(bg_outfile **f, const char *path, bg_error *err);
FILE *bg_outfile_stream(bg_outfile *f);
/* Instead of through the stream: sets the size, with room on the disk where the file system can
 * promise it, and writes anywhere in it, from any thread. false: errno has the reason. */
bool bg_outfile_resize(bg_outfile *f, size_t size);
bool bg_outfile_write_at(bg_outfile *f, const void *data, size_t n, size_t at);
bg_status bg_outfile_commit(bg_outfile **f, bg_error *err);
void bg_outfile_discard(bg_outfile **f);             /* NULL is fine: use it in cleanup */
/* Whether one could be written there: asked before long work. Leaves nothing. */
bg_status bg_outfile_try(const char *path, bg_error *err);
/* The whole of it for small files. */
bg_status bg_file_write(const char *path, const void *data, size_t n, bg_error *err);

/* Creates a folder and its parents; fine when it exists; fails when it cannot be written. */
bg_status bg_dir_create(const char *path, bg_error *err);
/* Removes the temporary files that outputs of a killed program left in a folder. */
void bg_dir_clean(const char *path);
bool bg_file_exists(const char *path);
/* Whether two paths lead to one file. */
bool bg_file_same(const char *a, const char *b);
/* "a" + "b" -> "a/b"; free with bg_free; NULL when out of memory. */
char *bg_path_join(const char *dir, const char *name);

/* Finds an installed or in-tree data file ("models/codelet/...", "templates/..."): looks at
 * $BITGAUGE_DATA, then the installed share/bitgauge, then the source tree, both found from the
 * place of the running program. Free with bg_free; NULL when it is nowhere. */
char *bg_data_path(const char *relative);
/* The model that comes with the program, and the word that stands for it on a command line. */
#define BG_EMBEDDED_FILE "codelet-8m-f16.gguf"
#define BG_EMBEDDED_WORD "embedded"

#endif
