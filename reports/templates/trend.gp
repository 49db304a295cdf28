load "common.gp"
# A panel a scheme: points with intervals over runs, the median of each level, changes as lines.
ROWS = (N + COLUMNS - 1) / COLUMNS
stats "title.dat" using (TITLE = strcol(1), UNIT = strcol(2), 0) nooutput
array NAMES[N]
array LOW[N]
array HIGH[N]
array LAST[N]
stats "panels.dat" using (NAMES[int(column(0)) + 1] = strcol(1), LOW[int(column(0)) + 1] = $2, HIGH[int(column(0)) + 1] = $3, LAST[int(column(0)) + 1] = $4, 0) nooutput
set key off
set grid noxtics ytics
set multiplot
set label 1 TITLE . (UNIT eq "" ? "" : " (" . UNIT . ")") at screen 0.5, 1 - 20.0/HEIGHT center font ",15"
set label 2 "bars: 95 % intervals; lines: medians of levels; dashes: changes, orange where worse" at screen 0.5, 1 - 41.0/HEIGHT center textcolor rgb "#555555"
set format y "%g"
set ytics autofreq
set xtics nomirror scale 0.4 font ",10"
do for [i=0:N-1] {
    column_of = i % COLUMNS
    row_of = i / COLUMNS
    top = 1 - (56.0 + 200.0*row_of + 24.0)/HEIGHT
    set tmargin at screen top
    set bmargin at screen top - 142.0/HEIGHT
    set lmargin at screen (column_of + 0.13)/COLUMNS
    set rmargin at screen (column_of + 0.97)/COLUMNS
    set title NAMES[i+1] offset 0,-0.6
    set xrange [-0.7:LAST[i+1] + 0.7] noextend
    set yrange [LOW[i+1]:HIGH[i+1]] noextend
    plot "changes.dat" using ($1 == i ? $2 : NaN):(LOW[i+1]):(0):(HIGH[i+1] - LOW[i+1]):($3 > 0 ? 0xd55e00 : 0x009e73) with vectors nohead dashtype 2 linewidth 1.5 linecolor rgb variable, \
         sprintf("points%d.dat", i) using 1:2:3:4:xticlabel(5) with yerrorbars pointtype 0 linewidth 1 linecolor rgb "#9ecae1", \
         "levels.dat" using ($1 == i ? $2 - 0.4 : NaN):4:($3 - $2 + 0.8):(0) with vectors nohead linewidth 2 linecolor rgb "#000000", \
         sprintf("points%d.dat", i) using 1:2 with points pointtype 7 pointsize 0.45 linecolor rgb "#0072b2", \
         "changes.dat" using ($1 == i ? $2 : NaN):(HIGH[i+1]):4 with labels left offset 0.4,-0.7 font ",11" textcolor rgb "#222222"
    unset label 1
    unset label 2
}
unset multiplot
