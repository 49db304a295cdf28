if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(flags -march=armv8-a) # NEON is part of it
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # It moves all loads to the front of unrolled code, and then runs out of registers.
    list(APPEND flags -fno-schedule-insns)
  endif()
endif()
