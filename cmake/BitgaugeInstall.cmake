# The installed library is every room in one archive, libbitgauge.a.
get_property(rooms GLOBAL PROPERTY BG_ROOMS)
set(archive ${PROJECT_BINARY_DIR}/lib/libbitgauge.a)
set(script "create ${archive}\n")
foreach(room IN LISTS rooms)
  string(APPEND script "addlib $<TARGET_FILE:${room}>\n")
endforeach()
string(APPEND script "save\nend\n")
file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/libbitgauge.mri CONTENT "${script}")
add_custom_command(OUTPUT ${archive}
  COMMAND ${CMAKE_AR} -M < ${PROJECT_BINARY_DIR}/libbitgauge.mri
  DEPENDS ${rooms} ${PROJECT_BINARY_DIR}/libbitgauge.mri VERBATIM)
add_custom_target(libbitgauge ALL DEPENDS ${archive})

set(BG_PC_REQUIRES "jansson")
if(HWLOC_FOUND)
  string(APPEND BG_PC_REQUIRES " hwloc")
endif()
if(PAPI_FOUND)
  string(APPEND BG_PC_REQUIRES " papi")
endif()
if(PCRE2_FOUND)
  string(APPEND BG_PC_REQUIRES " libpcre2-8")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/bitgauge.pc.in ${PROJECT_BINARY_DIR}/bitgauge.pc @ONLY)

set(data ${CMAKE_INSTALL_DATADIR}/bitgauge)
install(TARGETS bitgauge-cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(DIRECTORY profiles/ DESTINATION ${data}/profiles COMPONENT program)
install(DIRECTORY reports/templates/ DESTINATION ${data}/templates COMPONENT program)
install(DIRECTORY bench/models/ DESTINATION ${data}/models COMPONENT program)
install(FILES ${archive} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(DIRECTORY include/bitgauge DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT library)
install(FILES ${PROJECT_BINARY_DIR}/bitgauge.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
  COMPONENT library)

# `cmake --build build/portable --target package`: the program and its data in one archive.
set(CPACK_GENERATOR TGZ)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL program)
set(CPACK_PACKAGE_FILE_NAME bitgauge-${PROJECT_VERSION}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_ARCHIVE_PROGRAM_FILE_NAME ${CPACK_PACKAGE_FILE_NAME})
include(CPack)
