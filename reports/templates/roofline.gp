load "common.gp"
set lmargin at screen real(LEFT)/WIDTH
set rmargin at screen 1 - real(RIGHT)/WIDTH
set tmargin at screen 1 - real(TOP)/HEIGHT
set bmargin at screen real(BOTTOM)/HEIGHT
set label 1 sprintf("Roofline: every cell under the measured roofs (%d threads)", THREADS) at screen 0.5, 1 - 20.0/HEIGHT center font ",15"
set label 2 "circles: decode; squares: prefill; crosses: settings that were slower" at screen 0.5, 1 - 42.0/HEIGHT center textcolor rgb "#555555"
set xlabel "arithmetic intensity (FLOP per byte read)" offset 0,0.3
set label 3 "GFLOP/s (int8: Gop/s)" at screen 16.0/WIDTH, 0.5*(1 - real(TOP - BOTTOM)/HEIGHT) center rotate by 90
set logscale xy
set clip one
set clip two
set xrange [XMIN:XMAX]
set yrange [YMIN:YMAX]
set format "%g"
set key at screen 0.5, 1 - 64.0/HEIGHT center horizontal maxrows 1 samplen 0.5 width -1
plot "roofs.dat" using 1:2 with lines linewidth 1.5 linecolor rgb "#555555" notitle, \
     "names.dat" using ($3 > 0 ? $1 : NaN):2:4 with labels left rotate by ANGLE offset 0,0.45 font ",10" textcolor rgb "#333333" notitle, \
     "names.dat" using ($3 > 0 ? NaN : $1):2:4 with labels right offset 0,0.5 font ",10" textcolor rgb "#333333" notitle, \
     "cells.dat" using ($5 > 0 ? NaN : $1):2 with points pointtype 1 pointsize 0.6 linecolor rgb "#bbbbbb" notitle, \
     "cells.dat" using ($5 > 0 && $4 > 0 ? $1 : NaN):2:(colour($3)) with points pointtype 7 pointsize 1 linecolor rgb variable notitle, \
     "cells.dat" using ($5 > 0 && $4 == 0 ? $1 : NaN):2:(colour($3)) with points pointtype 5 pointsize 1 linecolor rgb variable notitle, \
     for [l in LEVELS] keyentry with points pointtype 13 pointsize 1.2 linecolor rgb colour(l+0) title level_name(l)
