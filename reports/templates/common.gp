# What all drawings share: terminal, type, and one colour and shape a level of precision (the
# palette of Okabe and Ito, which colour-blind readers can tell apart).
# Defined by the program: PNG (0 or 1), WIDTH, HEIGHT, and each drawing's own numbers.
if (!exists("WIDTH")) WIDTH = 860
if (PNG) {
    set terminal pngcairo noenhanced size 1.5*WIDTH,1.5*HEIGHT background "#ffffff" \
        font "sans-serif,13" fontscale 1.12 linewidth 1.5 pointscale 1.5
    set output "plot.png"
} else {
    set terminal svg noenhanced size WIDTH,HEIGHT dynamic background "#ffffff" \
        font "sans-serif,13"
    set output "plot.svg"
}
set encoding utf8
set border 3 linewidth 1 linecolor rgb "#444444"
set tics nomirror out scale 0.6 textcolor rgb "#222222"
set grid linetype 1 linewidth 0.6 linecolor rgb "#dddddd"

# Level of precision -> colour and shape. 0 is of mixed formats, searched for or unknown.
array COLOURS[17]
array SHAPES[17]
do for [i=1:17] { COLOURS[i] = 0x777777; SHAPES[i] = 2 }
COLOURS[1] = 0x882255; SHAPES[1] = 2
COLOURS[2] = 0x999999; SHAPES[2] = 3
COLOURS[3] = 0xd55e00; SHAPES[3] = 11
COLOURS[4] = 0xe69f00; SHAPES[4] = 9
COLOURS[5] = 0x009e73; SHAPES[5] = 7
COLOURS[6] = 0x56b4e9; SHAPES[6] = 13
COLOURS[7] = 0x0072b2; SHAPES[7] = 5
COLOURS[9] = 0xcc79a7; SHAPES[9] = 15
COLOURS[17] = 0x000000; SHAPES[17] = 6
colour(level) = COLOURS[1 + (level < 0 || level > 16 ? 0 : int(level))]
shape(level) = SHAPES[1 + (level < 0 || level > 16 ? 0 : int(level))]
# The levels that a legend names: drawings that have one define LEVEL_BITS, bit n for level n.
LEVELS = ""
if (exists("LEVEL_BITS")) {
    do for [l in "0 1 2 3 4 5 6 8 16"] {
        if (int(LEVEL_BITS) & (1 << int(l))) { LEVELS = LEVELS . " " . l }
    }
}
level_name(l) = l eq "0" ? "mixed" : l eq "16" ? "16 bit" : "Q" . l

# A round step, 1, 2 or 5 times a power of ten, not above x.
decade(x) = 10**floor(log10(x))
step(x) = x > 0 ? decade(x) * (x/decade(x) >= 5 ? 5 : x/decade(x) >= 2 ? 2 : 1) : 1

# Folders side by side: names, colours and markers.
if (exists("SIDES")) {
    array SIDE_NAMES[SIDES]
    stats "sides.dat" using (SIDE_NAMES[int(column(0)) + 1] = strcol(1), 0) nooutput
    array SIDE_COLOURS[8] = [0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7, 0xe69f00, 0x56b4e9, 0x000000, 0x888888]
    array SIDE_SHAPES[8] = [7, 5, 9, 13, 11, 15, 6, 4]
    side_colour(s) = SIDE_COLOURS[int(s) + 1]
    tint(v) = int(255 - 0.35*(255 - v))
    pale(c) = 65536*tint((c >> 16) & 255) + 256*tint((c >> 8) & 255) + tint(c & 255)
}
