load "common.gp"
# A panel a test, a line a folder.
array TITLES[PANELS]
array RANGES[4*PANELS]
stats "panels.dat" using (i = int(column(0)), TITLES[i+1] = strcol(1), RANGES[4*i+1] = $2, RANGES[4*i+2] = $3, RANGES[4*i+3] = $4, RANGES[4*i+4] = $5, 0) nooutput
stats "title.dat" using (SCHEME = strcol(1), 0) nooutput
set multiplot
set label 1 "Speed of " . SCHEME . " over threads" at screen 0.5, 1 - 20.0/HEIGHT center font ",15"
set lmargin at screen 0.02
set rmargin at screen 0.98
unset border
unset tics
set key at screen 0.5, 1 - (36 + 0.5*LEGEND)/HEIGHT center horizontal maxrows LEGEND_ROWS samplen 1.2
set xrange [0:1]
set yrange [0:1]
plot NaN notitle, for [s=0:SIDES-1] keyentry with linespoints pointtype SIDE_SHAPES[s+1] linewidth 1.8 linecolor rgb side_colour(s) title SIDE_NAMES[s+1]
unset label 1
set border 3
set key off
set tmargin at screen 1 - (68.0 + LEGEND)/HEIGHT
set bmargin at screen 62.0/HEIGHT
set logscale xy
set xlabel "threads" offset 0,0.3
do for [p=0:PANELS-1] {
    set lmargin at screen (p + 0.16)/PANELS*0.98
    set rmargin at screen (p + 0.97)/PANELS*0.99
    set title TITLES[p+1] . " (tokens/s)" offset 0,-0.5
    set xrange [RANGES[4*p+1]:RANGES[4*p+2]] noextend
    set yrange [RANGES[4*p+3]:RANGES[4*p+4]] noextend
    unset xtics
    unset ytics
    set xtics () nomirror
    set ytics () nomirror
    array FIRST_X[SIDES]
    array FIRST_Y[SIDES]
    do for [s=0:SIDES-1] {
        FIRST_X[s+1] = 0
        set xrange [*:*]
        set yrange [*:*]
        stats sprintf("line%d-%d.dat", p, s) using (FIRST_X[s+1] == 0 && $1 > 0.5 ? (FIRST_Y[s+1] = $2, FIRST_X[s+1] = $1) : 0, 0) nooutput
    }
    set xrange [RANGES[4*p+1]:RANGES[4*p+2]] noextend
    set yrange [RANGES[4*p+3]:RANGES[4*p+4]] noextend
    plot sprintf("xticks%d.dat", p) using 1:(RANGES[4*p+3]):xticlabel(2) with points pointtype -1 notitle, \
         sprintf("yticks%d.dat", p) using (RANGES[4*p+1]):1:ytic(2) with points pointtype -1 notitle, \
         for [s=0:SIDES-1] (FIRST_X[s+1] > 0 ? FIRST_Y[s+1]*x/FIRST_X[s+1] : NaN) with lines dashtype 3 linewidth 1 linecolor rgb pale(side_colour(s)) notitle, \
         for [s=0:SIDES-1] sprintf("line%d-%d.dat", p, s) using 1:2 with lines linewidth 1.8 linecolor rgb side_colour(s) notitle, \
         for [s=0:SIDES-1] sprintf("line%d-%d.dat", p, s) using 1:2:3:4 with yerrorbars pointtype SIDE_SHAPES[s+1] pointsize 1 linewidth 1.2 linecolor rgb side_colour(s) notitle
}
unset multiplot
