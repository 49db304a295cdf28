# Every outside library sits behind one imported target; optional ones define BG_HAVE_*.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(HWLOC REQUIRED IMPORTED_TARGET hwloc>=2.4)
pkg_check_modules(PAPI IMPORTED_TARGET papi>=5.7)

# Jansson and libcsv are needed, but a reduced build (BG_REDUCED) goes on without: --json is refused,
# and the rooms that name bg_libcsv are left out, with the rooms and commands on top of them.
set(required REQUIRED)
if(BG_REDUCED)
  set(required)
endif()

add_library(bg_jansson INTERFACE)
pkg_check_modules(JANSSON ${required} IMPORTED_TARGET jansson>=2.10)
if(JANSSON_FOUND)
  target_link_libraries(bg_jansson INTERFACE PkgConfig::JANSSON)
  target_compile_definitions(bg_jansson INTERFACE BG_HAVE_JANSSON=1)
else()
  target_include_directories(bg_jansson INTERFACE ${PROJECT_SOURCE_DIR}/src/absent)
  target_compile_definitions(bg_jansson INTERFACE BG_HAVE_JANSSON=0)
endif()

# libcsv ships no .pc file.
find_path(CSV_INCLUDE_DIR csv.h ${required})
find_library(CSV_LIBRARY csv ${required})
if(CSV_INCLUDE_DIR AND CSV_LIBRARY)
  add_library(bg_libcsv INTERFACE)
  target_include_directories(bg_libcsv INTERFACE ${CSV_INCLUDE_DIR})
  target_link_libraries(bg_libcsv INTERFACE ${CSV_LIBRARY})
endif()

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
