/* git.h: which commit this is, from CI's environment or from git. Internal. */
#ifndef BG_CLI_GIT_H
#define BG_CLI_GIT_H

#include "base/base.h"

/* "" where neither the environment (GitHub Actions, GitLab CI) nor git in this folder tells. */
typedef struct bg_cli_commit { char commit[72], branch[256], date[40]; } bg_cli_commit;
void bg_cli_commit_find(bg_cli_commit *c);
/* The date of one commit, "" when git does not know it. */
void bg_cli_commit_date(const char *commit, char date[40]);

#endif
