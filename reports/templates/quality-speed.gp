load "common.gp"
set lmargin at screen real(LEFT)/WIDTH
set rmargin at screen 1 - real(RIGHT)/WIDTH
set tmargin at screen 1 - real(TOP)/HEIGHT
set bmargin at screen real(BOTTOM)/HEIGHT
set label 1 "Quality loss against decode speed: lower right is better" at screen 0.5, 1 - 20.0/HEIGHT center font ",15"
set label 2 "ring: the pick; dashes: the Pareto front; grey bars: 95 % intervals of the speed" at screen 0.5, 1 - 42.0/HEIGHT center textcolor rgb "#555555"
set xlabel "decode speed (tokens/s)" offset 0,0.3
LOSS = (BASIS == 0 ? "KL divergence from the source (nats, logarithmic)" : \
    BASIS == 1 ? "loss: ln(perplexity / source), logarithmic" : \
    "KL divergence (nats), ESTIMATED from bits per weight")
set label 3 LOSS at screen 16.0/WIDTH, 0.5*(1 - real(TOP - BOTTOM)/HEIGHT) center rotate by 90
set xrange [XMIN:XMAX]
set yrange [YMIN:YMAX]
set logscale y
set format y "%g"
set format x "%.0f"
set key at screen 0.5, 1 - 64.0/HEIGHT center horizontal maxrows 1 reverse Left samplen 0.5 width -1
plot "points.dat" using 9:2:($10 - $9):(0) with vectors nohead linewidth 3 linecolor rgb "#dddddd" notitle, \
     "front.dat" using 1:2 with lines linewidth 1.6 linecolor rgb "#888888" dashtype 2 notitle, \
     "points.dat" using ($7 > 0 ? $1 : NaN):2:($5 - $1):($6 - $2) with vectors nohead linewidth 0.7 linecolor rgb "#aaaaaa" notitle, \
     for [l in LEVELS] "points.dat" using ($3 == l+0 ? $1 : NaN):2:(1.1):(shape($3)):(colour($3)) with points pointsize variable pointtype variable linecolor rgb variable notitle, \
     "points.dat" using ($4 > 0 ? $1 : NaN):2 with points pointtype 6 pointsize 2.8 linewidth 2.5 linecolor rgb "#d00000" notitle, \
     "points.dat" using 5:6:8 with labels center font ",11" textcolor rgb "#222222" notitle, \
     for [l in LEVELS] keyentry with points pointtype shape(l+0) pointsize 1.1 linecolor rgb colour(l+0) title level_name(l)
