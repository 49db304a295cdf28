# Every outside library sits behind one imported target; optional ones define BG_HAVE_*.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
if(BG_STATIC)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
endif()
if(BG_HWLOC)
  pkg_check_modules(HWLOC IMPORTED_TARGET hwloc>=2.4)
endif()
if(BG_PAPI)
  pkg_check_modules(PAPI IMPORTED_TARGET papi>=5.7)
endif()

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
  message(STATUS "No PAPI: hardware counters will be empty (apt install libpapi-dev)")
  target_compile_definitions(bg_papi INTERFACE BG_HAVE_PAPI=0)
endif()

add_library(bg_hwloc INTERFACE)
if(HWLOC_FOUND)
  target_link_libraries(bg_hwloc INTERFACE PkgConfig::HWLOC)
  target_compile_definitions(bg_hwloc INTERFACE BG_HAVE_HWLOC=1)
else()
  message(STATUS "No hwloc: the topology comes from /sys, and recorded topologies and machine.xml "
    "are left out (apt install libhwloc-dev)")
  target_compile_definitions(bg_hwloc INTERFACE BG_HAVE_HWLOC=0)
endif()

# A static program cannot load the driver's library.
add_library(bg_nvml INTERFACE)
if(BG_STATIC)
  target_compile_definitions(bg_nvml INTERFACE BG_HAVE_NVML=0)
else()
  target_link_libraries(bg_nvml INTERFACE ${CMAKE_DL_LIBS})
  target_compile_definitions(bg_nvml INTERFACE BG_HAVE_NVML=1)
endif()

if(NOT GNUPLOT)
  message(STATUS "gnuplot not found: reports will have tables but no plots (apt install gnuplot-nox)")
endif()
