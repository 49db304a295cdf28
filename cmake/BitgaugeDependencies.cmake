# Every outside library sits behind one imported target; optional ones define BG_HAVE_*.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(HWLOC REQUIRED IMPORTED_TARGET hwloc>=2.4)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.10)
pkg_check_modules(PAPI IMPORTED_TARGET papi>=5.7)

# libcsv ships no .pc file.
find_path(CSV_INCLUDE_DIR csv.h REQUIRED)
find_library(CSV_LIBRARY csv REQUIRED)
add_library(bg_libcsv INTERFACE)
target_include_directories(bg_libcsv INTERFACE ${CSV_INCLUDE_DIR})
target_link_libraries(bg_libcsv INTERFACE ${CSV_LIBRARY})

find_program(GNUPLOT gnuplot)
find_path(VALGRIND_INCLUDE_DIR valgrind/callgrind.h)

add_library(bg_papi INTERFACE)
if(PAPI_FOUND)
  target_link_libraries(bg_papi INTERFACE PkgConfig::PAPI)
  target_compile_definitions(bg_papi INTERFACE BG_HAVE_PAPI=1)
else()
  message(STATUS "PAPI not found: hardware counters will be empty (apt install libpapi-dev)")
  target_compile_definitions(bg_papi INTERFACE BG_HAVE_PAPI=0)
endif()
if(NOT GNUPLOT)
  message(STATUS "gnuplot not found: reports will have tables but no plots (apt install gnuplot-nox)")
endif()
