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

set(BG_PC_REQUIRES "hwloc jansson")
if(PAPI_FOUND)
  string(APPEND BG_PC_REQUIRES " papi")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/bitgauge.pc.in ${PROJECT_BINARY_DIR}/bitgauge.pc @ONLY)

set(data ${CMAKE_INSTALL_DATADIR}/bitgauge)
install(TARGETS bitgauge-cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${archive} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/bitgauge DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${PROJECT_BINARY_DIR}/bitgauge.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(DIRECTORY profiles/ DESTINATION ${data}/profiles)
install(DIRECTORY reports/templates/ DESTINATION ${data}/templates)
install(DIRECTORY bench/models/ DESTINATION ${data}/models)
