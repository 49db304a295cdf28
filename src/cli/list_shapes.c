/* The shapes there are, for info --list-shapes. */
#include "bitgauge/shape.h"
#include "cli/info.h"

static uint64_t number(const bg_gguf *g, const char *name)
{
    bg_gguf_string arch = {0};
    char key[96];
    uint64_t value = 0;
    bg_gguf_get_string(g, "general.architecture", &arch);
    snprintf(key, sizeof key, "%.*s.%s", (int)arch.length, arch.data, name);
    bg_gguf_get_u64(g, key, &value);
    return value;
}

static void print_line(const bg_shape *s)
{
    const bg_gguf *g = bg_shape_gguf(s);
    printf("%-16s%9.2f B%8d%8d  %s\n", bg_shape_name(s), (double)bg_shape_params(s) * 1e-9,
           (int)number(g, "block_count"), (int)number(g, "embedding_length"), bg_shape_source(s));
}

static json_t *make_object(const bg_shape *s)
{
    const bg_gguf *g = bg_shape_gguf(s);
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "name", bg_shape_name(s),
                     "title", bg_shape_title(s), "family", bg_shape_family(s), "source",
                     bg_shape_source(s), "n_params",
                     (json_int_t)bg_shape_params(s), "n_layer",
                     (json_int_t)number(g, "block_count"), "n_embd",
                     (json_int_t)number(g, "embedding_length"), "n_ff",
                     (json_int_t)number(g, "feed_forward_length"));
}

int bg_cli_list_shapes(bool json)
{
    char **names;
    size_t n;
    json_t *list = json_array();
    bg_error err;
    bg_status status = bg_shape_names(&names, &n, &err);
    if (status != BG_OK) n = 0, names = NULL;
    if (status == BG_OK && !json)
        printf("%-16s%11s%8s%8s  %s\n", "shape", "weights", "layers", "width", "sizes from");
    for (size_t i = 0; i < n && status == BG_OK; i++) {
        bg_shape *s;
        status = bg_shape_open(&s, names[i], &err);
        if (status != BG_OK) break;
        if (json) json_array_append_new(list, make_object(s));
        else print_line(s);
        bg_shape_close(&s);
    }
    bg_shape_names_free(names, n);
    if (status == BG_OK && json) return bg_cli_print_json(json_pack("{s:o}", "shapes", list));
    json_decref(list);
    return status == BG_OK ? BG_EXIT_OK : bg_cli_fail(&err);
}
