include(${CMAKE_CURRENT_LIST_DIR}/../neon/flags.cmake)
if(flags)
  list(APPEND flags -march=armv8.2-a+dotprod+i8mm)
endif()
