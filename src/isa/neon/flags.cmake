if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(flags -march=armv8-a) # NEON is part of it
  if(BG_SANITIZE)
    list(APPEND flags -DBG_UNROLL=)
  else()
    list(APPEND flags -O3)
  endif()
endif()
