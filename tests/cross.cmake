# One check of the kernels for each instruction set of the target, so that they run side by side.
file(STRINGS ${PROJECT_SOURCE_DIR}/include/bitgauge/isas.def lines REGEX "^BG_ISA\\(")
foreach(line IN LISTS lines)
  string(REGEX REPLACE "^BG_ISA\\([A-Z0-9_]+, *([a-z0-9]+),.*" "\\1" isa "${line}")
  add_test(NAME kernels/${isa} COMMAND bitgauge-cli kernels --check --isa ${isa})
  set_tests_properties(kernels/${isa} PROPERTIES TIMEOUT 300 ENVIRONMENT "${BG_TEST_ENV}"
    PASS_REGULAR_EXPRESSION "[1-9][0-9]* passed, 0 failed")
endforeach()
