# The packages raylet (programs, libraries, the service) and raylet-dev: `cpack --config
# build/release/CPackConfig.cmake`. The service's files belong to these alone: an install prefix has none.
set(service ${PROJECT_SOURCE_DIR}/tools/packaging)
install(FILES ${service}/systemd/plasma_store.service ${service}/systemd/plasma_store@.service
  DESTINATION /usr/lib/systemd/system COMPONENT service EXCLUDE_FROM_ALL)
install(FILES ${service}/systemd/raylet.conf DESTINATION /usr/lib/sysusers.d COMPONENT service EXCLUDE_FROM_ALL)
install(FILES ${service}/plasma_store.toml DESTINATION /etc/raylet COMPONENT service EXCLUDE_FROM_ALL)
install(FILES ${service}/grafana/plasma_store.json DESTINATION /usr/share/raylet/grafana
  COMPONENT service EXCLUDE_FROM_ALL)
install(FILES ${PROJECT_SOURCE_DIR}/docs/memory.md ${PROJECT_SOURCE_DIR}/docs/objstat.md
    ${PROJECT_SOURCE_DIR}/docs/metrics.md ${PROJECT_SOURCE_DIR}/docs/service.md
  DESTINATION /usr/share/doc/raylet COMPONENT service EXCLUDE_FROM_ALL)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION /usr/share/doc/raylet RENAME copyright
  COMPONENT service EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME raylet)
set(CPACK_PACKAGE_CONTACT "Raylet <raylet@localhost>")
set(CPACK_COMPONENTS_ALL raylet service dev)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE gzip)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)

set(CPACK_DEBIAN_RAYLET_PACKAGE_NAME raylet)
set(CPACK_DEBIAN_RAYLET_DESCRIPTION "Object store and task daemons in C++
 plasma_store keeps immutable objects in shared memory, raylet runs tasks and actors, and objstat shows what a
 store holds. With the shared libraries that programs link, and the store as a service.")
set(CPACK_DEBIAN_RAYLET_PACKAGE_SECTION net)
set(CPACK_DEBIAN_RAYLET_PACKAGE_SUGGESTS "redis-server")
set(CPACK_DEBIAN_RAYLET_PACKAGE_DEPENDS "systemd | adduser")
set(CPACK_DEBIAN_RAYLET_PACKAGE_CONTROL_EXTRA ${service}/debian/postinst ${service}/debian/prerm
  ${service}/debian/postrm ${service}/debian/conffiles)
set(CPACK_DEBIAN_RAYLET_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_DEV_PACKAGE_NAME raylet-dev)
set(CPACK_DEBIAN_DEV_DESCRIPTION "Headers of Raylet
 The public headers ray/ and plasma/, and the files for CMake and pkg-config.")
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "raylet (= ${PROJECT_VERSION}), libboost-dev, libmsgpack-cxx-dev, nlohmann-json3-dev")
set(CPACK_DEBIAN_DEV_PACKAGE_SHLIBDEPS OFF)

include(CPack)
cpack_add_component(raylet GROUP raylet)
cpack_add_component(service GROUP raylet)
cpack_add_component(dev GROUP dev)
