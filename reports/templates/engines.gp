load "common.gp"
# Two bars a scheme: the engine of the pick above, the other below it.
set ytics scale 0
set grid xtics noytics
set style fill solid 1.0 noborder
set format x "%.0f"
set multiplot
set label 1 "Speed by engine, 95 % intervals" at screen 0.5, 1 - 22.0/HEIGHT center font ",15"
# The legend, over the whole width.
set lmargin at screen 0.02
set rmargin at screen 0.98
unset border
unset tics
set key at screen 0.5, 1 - 46.0/HEIGHT center horizontal maxrows 1 samplen 1.2
set xrange [0:1]
set yrange [0:1]
plot NaN notitle, for [s=1:SIDES] keyentry with boxes fillstyle solid 1.0 linecolor rgb side_colour(s-1) title SIDE_NAMES[s]
unset label 1
set key off
set border 3
set tics nomirror out scale 0.6 textcolor rgb "#222222"
set ytics scale 0
set yrange [N - 0.4:-0.6] noextend
set tmargin at screen 1 - 92.0/HEIGHT
set bmargin at screen 62.0/HEIGHT
do for [panel=0:1] {
    top = panel ? PPMAX : TGMAX
    set lmargin at screen (panel ? 0.575 : 0.125)
    set rmargin at screen (panel ? 0.975 : 0.525)
    set title (panel ? "prefill" : "decode") offset 0,-0.4
    set xlabel "tokens/s" offset 0,0.3
    set xrange [0:top*1.3]
    set xtics nomirror step(top*0.65)
    plot "bars.dat" using (0):1:ytic(panel ? 3 : 2) with points pointtype -1, \
         for [s=0:1] "bars.dat" using (column(4 + 6*panel + 3*s)/2):($1 + 0.4*s - 0.2):(column(4 + 6*panel + 3*s)/2):(0.18) with boxxyerror linecolor rgb side_colour(s), \
         for [s=0:1] "bars.dat" using (column(6 + 6*panel + 3*s) > column(5 + 6*panel + 3*s) ? column(4 + 6*panel + 3*s) : NaN):($1 + 0.4*s - 0.2):(column(5 + 6*panel + 3*s)):(column(6 + 6*panel + 3*s)) with xerrorbars pointtype 0 linewidth 1.2 linecolor rgb "#000000", \
         for [s=0:1] "bars.dat" using ((column(6 + 6*panel + 3*s) < top*1.15 ? column(6 + 6*panel + 3*s) : top*1.15) + top*0.015):($1 + 0.4*s - 0.2):(sprintf(column(4 + 6*panel + 3*s) < 99.95 ? "%.1f" : "%.0f", column(4 + 6*panel + 3*s))) with labels left font ",10" textcolor rgb "#222222"
}
unset multiplot
