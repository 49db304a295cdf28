/* Which installed text belongs to which model. */
#include "base/file.h"
#include "bitgauge/quality.h"

#include <string.h>

/* By general.name: quantizations of a model carry it too. */
static const struct { const char *model, *text, *calibration; } texts[] = {
    {"Codelet 8M", "models/codelet/codelet-eval.txt", "models/codelet/codelet-calib.txt"},
};

char *bg_quality_text(const bg_model *m)
{
    for (size_t i = 0; i < BG_COUNT(texts); i++)
        if (strcmp(bg_model_hparams(m)->name, texts[i].model) == 0)
            return bg_data_path(texts[i].text);
    return NULL;
}

char *bg_calibration_text(const bg_model *m)
{
    for (size_t i = 0; i < BG_COUNT(texts); i++)
        if (strcmp(bg_model_hparams(m)->name, texts[i].model) == 0)
            return bg_data_path(texts[i].calibration);
    return NULL;
}
