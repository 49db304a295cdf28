load "common.gp"
set lmargin at screen real(LEFT)/WIDTH
set rmargin at screen 1 - real(RIGHT)/WIDTH
set tmargin at screen 1 - real(TOP)/HEIGHT
set bmargin at screen real(BOTTOM)/HEIGHT
stats "title.dat" using (TEST = strcol(1), 0) nooutput
LOSS = (BASIS == 0 ? "KL divergence from the source (nats, logarithmic)" : "loss: ln(perplexity / source), logarithmic")
SPEED = "speed (" . TEST . ", tokens/s, logarithmic)"
set label 1 (QUALITY ? "Quality loss against speed: lower right is better" : "Speed against size: upper left is better") at screen 0.5, 1 - 20.0/HEIGHT center font ",15"
set label 2 "lines: the Pareto front of each folder" at screen 0.5, 1 - 42.0/HEIGHT center textcolor rgb "#555555"
set label 3 (QUALITY ? LOSS : SPEED) at screen 16.0/WIDTH, 0.5*(1 - real(TOP - BOTTOM)/HEIGHT) center rotate by 90
set xlabel (QUALITY ? SPEED : "weights (" . (UNIT > 1e8 ? "GB" : "MB") . ", logarithmic)") offset 0,0.3
set logscale xy
set xrange [XMIN:XMAX] noextend
set yrange [YMIN:YMAX] noextend
unset xtics
unset ytics
set xtics () nomirror
set ytics () nomirror
set key at screen 0.5, 1 - (54 + 0.5*LEGEND)/HEIGHT center horizontal maxrows LEGEND_ROWS samplen 1.2
plot "xticks.dat" using 1:(YMIN):xticlabel(2) with points pointtype -1 notitle, \
     "yticks.dat" using (XMIN):1:ytic(2) with points pointtype -1 notitle, \
     for [s=0:SIDES-1] sprintf("front%d.dat", s) using 1:2 with lines linewidth 1.8 linecolor rgb side_colour(s) notitle, \
     "labels.dat" using ($5 > 0 ? $1 : NaN):2:($3 - $1):($4 - $2) with vectors nohead linewidth 0.7 linecolor rgb "#aaaaaa" notitle, \
     for [s=0:SIDES-1] sprintf("points%d.dat", s) using 1:2 with points pointtype SIDE_SHAPES[s+1] pointsize 0.6 linecolor rgb pale(side_colour(s)) notitle, \
     for [s=0:SIDES-1] sprintf("front%d.dat", s) using 1:2 with points pointtype SIDE_SHAPES[s+1] pointsize 1.1 linecolor rgb side_colour(s) notitle, \
     "labels.dat" using 3:4:6 with labels center font ",11" textcolor rgb "#222222" notitle, \
     for [s=0:SIDES-1] keyentry with linespoints pointtype SIDE_SHAPES[s+1] pointsize 1.1 linewidth 1.8 linecolor rgb side_colour(s) title SIDE_NAMES[s+1]
