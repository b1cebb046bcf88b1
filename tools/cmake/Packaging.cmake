# The content of an install prefix: the shared libraries, the public headers, the programs (each
# target installs its own), and the files for CMake and pkg-config. The component raylet is for users
# of programs, dev for those who build some. DebianPackages.cmake makes a package of each.
include(CMakePackageConfigHelpers)

set(RAYLET_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/raylet)

install(TARGETS raylet_ray raylet_parameter_server raylet_plasma EXPORT raylet-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_COMPONENT dev
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/client/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT dev FILES_MATCHING PATTERN "*.h")
install(EXPORT raylet-targets NAMESPACE raylet:: DESTINATION ${RAYLET_CMAKE_DIR} COMPONENT dev)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/raylet-config.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/raylet-config.cmake INSTALL_DESTINATION ${RAYLET_CMAKE_DIR})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/raylet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/raylet-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/raylet-config-version.cmake
  DESTINATION ${RAYLET_CMAKE_DIR} COMPONENT dev)

# pkg-config finds the prefix from the place of its files, so that a moved prefix still works.
string(REGEX REPLACE "[^/]+" ".." RAYLET_PC_UP "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
set(RAYLET_PC_PREFIX "\${pcfiledir}/${RAYLET_PC_UP}")
foreach(part ray parameter-server plasma)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/raylet-${part}.pc.in ${CMAKE_CURRENT_BINARY_DIR}/raylet-${part}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/raylet-${part}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
    COMPONENT dev)
endforeach()
