load "common.gp"
set yrange [N - 0.4:-0.6] noextend
set ytics scale 0
set grid xtics noytics
set style fill solid 1.0 noborder
set lmargin at screen 0.125
set rmargin at screen 0.96
set tmargin at screen 1 - 74.0/HEIGHT
set bmargin at screen 62.0/HEIGHT
set label 1 "Memory by scheme" at screen 0.5, 1 - 22.0/HEIGHT center font ",15"
set xlabel (UNIT > 1e8 ? "GB" : "MB") offset 0,0.3
set xrange [0:TOP*1.12]
set key at screen 0.5, 1 - 50.0/HEIGHT center horizontal maxrows 1 samplen 1 width -6
plot "bars.dat" using ($5/2):1:($5/2):(0.36):ytic(2) with boxxyerror linecolor rgb "#0072b2" title "weights", \
     "bars.dat" using ($5+$6/2):1:($6/2):(0.36) with boxxyerror linecolor rgb "#e69f00" title "KV cache", \
     "bars.dat" using ($5+$6+$7/2):1:($7/2):(0.36) with boxxyerror linecolor rgb "#009e73" title "activations and scratch", \
     "bars.dat" using ($4 > 0 ? ($5+$6+$7)/2 : NaN):1:(($5+$6+$7)/2):(0.36) with boxxyerror fillstyle empty border linecolor rgb "#d00000" linecolor rgb "#d00000" linewidth 2 notitle, \
     "bars.dat" using ($5+$6+$7+TOP*0.012):1:(sprintf("%.3g", $5+$6+$7)) with labels left font ",10" textcolor rgb "#222222" notitle
