/* Which installed text belongs to which model. */
#include "base/file.h"
#include "bitgauge/quality.h"

#include <string.h>

/* By general.name: quantizations of a model carry it too. */
static const struct { const char *model, *text; } texts[] = {
    {"Codelet 8M", "models/codelet/codelet-eval.txt"},
};

char *bg_quality_text(const bg_model *m)
{
    for (size_t i = 0; i < BG_COUNT(texts); i++)
        if (strcmp(bg_model_hparams(m)->name, texts[i].model) == 0)
            return bg_data_path(texts[i].text);
    return NULL;
}
