if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|i.86")
  set(flags -mavx2 -mfma -mf16c)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # Both move additions away from the products that they add, and then run out of registers.
    list(APPEND flags -fno-tree-reassoc -fno-tree-ter)
  endif()
endif()
