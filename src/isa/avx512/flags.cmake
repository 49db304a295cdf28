include(${CMAKE_CURRENT_LIST_DIR}/../avx2/flags.cmake)
if(flags)
  list(APPEND flags -mavx512f -mavx512bw -mavx512dq -mavx512vl)
endif()
