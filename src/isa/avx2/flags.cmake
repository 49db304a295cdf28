if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|i.86")
  set(flags -O3 -mavx2 -mfma -mf16c)
endif()
