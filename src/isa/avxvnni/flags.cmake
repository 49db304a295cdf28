include(${CMAKE_CURRENT_LIST_DIR}/../avx2/flags.cmake)
if(flags)
  list(APPEND flags -mavxvnni)
endif()
