load "common.gp"
# Grey behind a bar: what the roof that bounds it would allow (cut off at the edge).
set yrange [N - 0.4:-0.6] noextend
set ytics scale 0
set grid xtics noytics
set style fill solid 1.0 noborder
set key off
set format x "%.0f"
set xtics autofreq rotate by 0
set multiplot
set tmargin at screen 1 - 74.0/HEIGHT
set bmargin at screen 62.0/HEIGHT
set label 1 "Speed by scheme, 95 % intervals; grey: what the roof would allow" at screen 0.5, 1 - 22.0/HEIGHT center font ",15"
do for [panel=0:1] {
    c = 6 + 4*panel
    top = panel ? PPMAX : TGMAX
    set lmargin at screen (panel ? 0.575 : 0.125)
    set rmargin at screen (panel ? 0.975 : 0.525)
    set title (panel ? "prefill" : "decode") offset 0,-0.4
    set xlabel "tokens/s" offset 0,0.3
    set xrange [0:top*1.3]
    set xtics step(top*0.65)
    plot "bars.dat" using (column(c+3) < top*1.3 ? column(c+3)/2 : top*0.65):1:(column(c+3) < top*1.3 ? column(c+3)/2 : top*0.65):(0.36):ytic(panel ? 5 : 2) with boxxyerror linecolor rgb "#ececec", \
         "bars.dat" using (column(c)/2):1:(column(c)/2):(0.36):(colour($3)) with boxxyerror linecolor rgb variable, \
         "bars.dat" using (column(4) > 0 ? column(c)/2 : NaN):1:(column(c)/2):(0.36) with boxxyerror fillstyle empty border linecolor rgb "#d00000" linecolor rgb "#d00000" linewidth 2, \
         "bars.dat" using (column(c+2) > column(c+1) ? column(c) : NaN):1:(column(c+1)):(column(c+2)) with xerrorbars pointtype 0 linewidth 1.2 linecolor rgb "#000000", \
         "bars.dat" using ((column(c+2) < top*1.15 ? column(c+2) : top*1.15) + top*0.015):1:(sprintf(column(c) < 99.95 ? "%.1f" : "%.0f", column(c))) with labels left font ",10" textcolor rgb "#222222"
    unset label 1
}
unset multiplot
