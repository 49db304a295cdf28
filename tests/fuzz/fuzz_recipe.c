/* Any bytes as the recipe of a small model: what is accepted can be applied, gives as many bytes as
 * were planned, and is the same recipe when it was written and read again. */
#include "base/file.h"
#include "search/recipe.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All that they make: lines of a dropped layer may be there, and mean nothing. */
static void check_same(const bg_recipe *a, const bg_recipe *b, const bg_gguf *g)
{
    for (size_t i = 0; i < a->n_tensors; i++) {
        char names[2][96];
        bg_tensor x, y;
        bool there = bg_recipe_tensor(a, g, i, names[0], &x);
        if (there != bg_recipe_tensor(b, g, i, names[1], &y)) abort();
        if (there && (strcmp(x.name, y.name) || x.type_id != y.type_id ||
                      memcmp(x.ne, y.ne, sizeof x.ne)))
            abort();
    }
    for (uint32_t l = 0; a->layers && l < a->n_layer; l++) {
        const bg_kept *x = &a->layers[l].ff, *y = &b->layers[l].ff;
        if (a->layers[l].dropped || !x->at) continue;
        if (x->n != y->n || memcmp(x->at, y->at, x->n * sizeof *x->at)) abort();
    }
}

static void check_text(const bg_recipe *r, const bg_gguf *g)
{
    char path[] = "/tmp/fuzz-recipe-XXXXXX";
    bg_recipe *again;
    bg_error err;
    int fd = mkstemp(path);
    if (fd < 0) abort();
    close(fd);
    if (bg_recipe_write(r, g, path, "a remark\nof two lines", &err) != BG_OK ||
        bg_recipe_read(&again, g, path, &err) != BG_OK)
        abort();
    unlink(path);
    check_same(r, again, g);
    bg_recipe_free(&again);
}

static void use(const bg_recipe *r, const bg_gguf *g)
{
    bg_quantize_plan plan;
    bg_image *image;
    bg_error err;
    if (bg_recipe_plan(r, g, NULL, &plan, &err) != BG_OK ||
        bg_recipe_apply(&image, r, g, NULL, NULL, NULL, NULL, &err) != BG_OK ||
        image->bytes != plan.file_bytes)
        abort();
    bg_image_free(&image);
    check_text(r, g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bg_gguf *model;
    char *text = malloc(size + 1);
    bg_recipe *r;
    bg_error err = {0};
    if (!model && bg_gguf_open(&model, BG_SOURCE "/tests/fuzz/corpus/gguf/ok-model-prunable",
                               &err) != BG_OK)
        abort();
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (bg_recipe_parse(&r, model, text, size, "input", &err) == BG_OK) {
        use(r, model);
        bg_recipe_free(&r);
    } else if (r || !err.message[0]) {
        abort();
    }
    free(text);
    return 0;
}
