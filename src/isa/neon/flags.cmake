# NEON is part of every aarch64.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(flags)
  if(BG_SANITIZE)
    list(APPEND flags -DBG_UNROLL=)
  else()
    list(APPEND flags -O3)
  endif()
endif()
