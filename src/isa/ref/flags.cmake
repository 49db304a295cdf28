# The definition: every multiplication and addition is rounded on its own.
set(flags -ffp-contract=off)
