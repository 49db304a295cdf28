PER_ROW = PANELS < 4 ? PANELS : 4
ROWS = (PANELS + PER_ROW - 1) / PER_ROW
ROWS = int(ROWS)
HEIGHT = ROWS * PANEL_HEIGHT + 40
load "common.gp"
set ytics scale 0
set grid xtics noytics
set style fill solid 1.0 noborder
set key off
set format x "%.0s%c"
set multiplot
set label 1 "Counters per decoded token" at screen 0.5, 1 - 18.0/HEIGHT center font ",15"
do for [p=0:int(PANELS)-1] {
    across = p % int(PER_ROW)
    down = p / int(PER_ROW)
    set xrange [*:*] # stats looks at what is in range
    set yrange [*:*]
    stats "titles.dat" using (name = strcol(1), 0) every ::p::p nooutput
    stats "bars.dat" using (column(6+p)) name "VALUE" nooutput
    set xtics step(VALUE_max*0.6)
    set lmargin at screen 0.125 + 0.86*across/PER_ROW + 0.008
    set rmargin at screen 0.125 + 0.86*(across + 1)/PER_ROW - 0.012
    set tmargin at screen 1 - (40.0 + down*PANEL_HEIGHT + 24)/HEIGHT
    set bmargin at screen 1 - (40.0 + (down + 1)*PANEL_HEIGHT - 50)/HEIGHT
    set title name offset 0,-0.6
    set xrange [0:VALUE_max*1.05]
    set yrange [N - 0.4:-0.6] noextend
    plot "bars.dat" using (column(6+p)/2):1:(column(6+p)/2):(0.36):(colour($3)):ytic(across ? 5 : 2) with boxxyerror linecolor rgb variable, \
         "bars.dat" using (column(4) > 0 ? column(6+p)/2 : NaN):1:(column(6+p)/2):(0.36) with boxxyerror fillstyle empty border linecolor rgb "#d00000" linecolor rgb "#d00000" linewidth 2
    unset label 1
}
unset multiplot
