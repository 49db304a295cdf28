# bg_room(NAME [DEPS room...] [LIBS target...]): one folder of src/ as one static
# library bg_NAME. Sources are globbed, so a new file needs no edit here. A room that names a target
# of ours that is not there (see BG_REDUCED) is left out.
set(BG_WARNINGS -Wall -Wextra -Wconversion -Wshadow -Wundef -Wmissing-prototypes
  -Wstrict-prototypes $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation> -Werror=vla)

add_library(bg_flags INTERFACE)
target_compile_options(bg_flags INTERFACE ${BG_WARNINGS} $<$<BOOL:${BG_WERROR}>:-Werror>)
target_compile_definitions(bg_flags INTERFACE _GNU_SOURCE)
target_include_directories(bg_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
if(BG_SANITIZE)
  target_compile_options(bg_flags INTERFACE -fsanitize=${BG_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(bg_flags INTERFACE -fsanitize=${BG_SANITIZE})
endif()
if(BG_FUZZ)
  target_compile_options(bg_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

function(bg_room NAME)
  cmake_parse_arguments(R "" "" "DEPS;LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${NAME}/*.c)
  list(TRANSFORM R_DEPS PREPEND bg_)
  foreach(target IN LISTS R_DEPS R_LIBS)
    if(target MATCHES "^bg_" AND NOT TARGET ${target})
      message(STATUS "${NAME} is left out: there is no ${target}")
      return()
    endif()
  endforeach()
  if(NOT sources)
    add_library(bg_${NAME} INTERFACE)
    target_link_libraries(bg_${NAME} INTERFACE ${R_DEPS})
    return()
  endif()
  add_library(bg_${NAME} STATIC ${sources})
  target_include_directories(bg_${NAME} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  target_link_libraries(bg_${NAME} PUBLIC ${R_DEPS} PRIVATE bg_flags ${R_LIBS})
  set_property(GLOBAL APPEND PROPERTY BG_ROOMS bg_${NAME})
endfunction()

# The flags of src/isa/<set>/flags.cmake for the files of that folder, but not for detect.c, which
# must run on any CPU.
function(bg_isa_flags)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/isa/*/flags.cmake)
  foreach(file IN LISTS files)
    set(flags)
    include(${file})
    if(flags)
      if(BG_SANITIZE)
        # Instrumented and unrolled, a kernel takes minutes to compile.
        list(APPEND flags -DBG_UNROLL=)
      else()
        # Loops begin at the same place of a line whatever stands before them, so that a change
        # elsewhere does not make a kernel a few per cent slower or faster.
        list(APPEND flags -O3 -falign-functions=64)
      endif()
      if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        # Where each variable lives at each step takes longer to find out than the code.
        list(APPEND flags -fno-var-tracking)
      endif()
    endif()
    get_filename_component(folder ${file} DIRECTORY)
    file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.c)
    list(REMOVE_ITEM sources ${folder}/detect.c)
    set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${flags}")
    if(BG_SLOWDOWN AND folder MATCHES "/(avx2|avx512vnni)$")
      set_source_files_properties(${folder}/small.c PROPERTIES
        COMPILE_DEFINITIONS BG_SLOWDOWN=${BG_SLOWDOWN})
    endif()
  endforeach()
endfunction()
