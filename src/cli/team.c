#include "cli/cli.h"

#include "bitgauge/machine.h"

bg_status bg_cli_team(int threads, bool bound, bg_machine **machine, bg_team **team, bg_error *err)
{
    bg_status s;
    *team = NULL;
    BG_TRY(bg_machine_open(machine, NULL, err));
    s = bg_team_open(team, threads > 0 ? threads : bg_machine_default_threads(*machine),
                     bound ? bg_machine_bind : NULL, *machine, err);
    if (s != BG_OK) bg_machine_close(machine);
    return s;
}

