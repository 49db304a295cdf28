load "common.gp"
# A panel a test: bars from 1, with intervals; grey: the noise floor.
array TITLES[PANELS]
array LOW[PANELS]
array HIGH[PANELS]
array FLOOR[PANELS]
stats "panels.dat" using (i = int(column(0)) + 1, TITLES[i] = strcol(1), LOW[i] = $2, HIGH[i] = $3, FLOOR[i] = $4, 0) nooutput
set ytics scale 0
set grid xtics noytics
set style fill solid 1.0 noborder
set multiplot
set label 1 "Speed relative to " . SIDE_NAMES[1] . ": right of 1 is faster" at screen 0.5, 1 - 20.0/HEIGHT center font ",15"
SPAN = 0.865/COLUMNS
TOP = 34.0 + (SIDES > 2 ? LEGEND : 0)
if (SIDES > 2) { # over the whole width
    set lmargin at screen 0.02
    set rmargin at screen 0.98
    unset border
    unset tics
    set key at screen 0.5, 1 - (36 + 0.5*LEGEND)/HEIGHT center horizontal maxrows LEGEND_ROWS samplen 1.2
    set xrange [0:1]
    set yrange [0:1]
    plot NaN notitle, for [s=1:SIDES-1] keyentry with boxes fillstyle solid 1.0 linecolor rgb side_colour(s) title SIDE_NAMES[s+1]
    unset label 1
    set border 3
    set ytics scale 0
}
set key off
do for [p=0:PANELS-1] {
    across = p % int(COLUMNS)
    down = p / int(COLUMNS)
    set lmargin at screen 0.115 + across*SPAN + 0.008
    set rmargin at screen 0.115 + (across + 1)*SPAN - 0.012
    set tmargin at screen 1 - (TOP + down*PANEL + 26)/HEIGHT
    set bmargin at screen 1 - (TOP + (down + 1)*PANEL - 34)/HEIGHT
    set title TITLES[p+1] offset 0,-0.6
    set logscale x
    set xrange [LOW[p+1]:HIGH[p+1]] noextend
    set yrange [N - 0.4:-0.6] noextend
    unset xtics
    set xtics () nomirror
    a = 1/(1 + FLOOR[p+1])
    b = 1 + FLOOR[p+1]
    set object 1 rectangle from first (a < LOW[p+1] ? LOW[p+1] : a), graph 0 to first (b > HIGH[p+1] ? HIGH[p+1] : b), graph 1 behind fillcolor rgb "#eeeeee" fillstyle solid noborder
    set arrow 1 from first 1, graph 0 to first 1, graph 1 nohead front linewidth 1.2 linecolor rgb "#333333"
    BARS = sprintf("bars%d.dat", p)
    plot sprintf("ticks%d.dat", p) using 1:(-0.6):xticlabel(2) with points pointtype -1 notitle, \
         "names.dat" using (1):1:ytic(across ? 3 : 2) with points pointtype -1 notitle, \
         BARS using 2:1:($2 < 1 ? $2 : 1):($2 < 1 ? 1 : $2):($1 - HALF):($1 + HALF):($5 > 0 ? side_colour($6) : pale(side_colour($6))) with boxxyerror linecolor rgb variable notitle, \
         BARS using 2:1:3:4 with xerrorbars pointtype 0 linewidth 1.2 linecolor rgb "#000000" notitle, \
         BARS using ($9 > 0 ? NaN : $8):1:7 with labels left font ",10" textcolor rgb "#222222" notitle, \
         BARS using ($9 > 0 ? $8 : NaN):1:7 with labels right font ",10" textcolor rgb "#222222" notitle
    unset label 1
}
unset multiplot
