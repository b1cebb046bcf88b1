# The store client: its internals as a static library, for the daemon of tasks, the ray:: layer and tests; and what users
# link, raylet::plasma.
set(PLASMA_CLIENT_SOURCES
  fork_guard.cc
  mapped_arena.cc
  mapped_index.cc
  object_view.cc
  object_writer.cc
  pin_table.cc
  store_client.cc
  store_connection.cc
  store_session.cc
  store_watch.cc)
raylet_room(raylet_plasma_client
  SOURCES ${PLASMA_CLIENT_SOURCES}
  LINK raylet_fbs raylet_base)

# How a process finds the raylet of its machine: for the ray:: layer, and for what asks a raylet.
raylet_room(raylet_local_raylets
  SOURCES local_raylets.cc
  LINK raylet_fbs raylet_base)

# What users link: raylet::plasma. Only RAYLET_API symbols are visible; public headers include nothing of ours but
# themselves.
add_library(raylet_plasma_objects OBJECT plasma_client.cc plasma_status.cc)
target_include_directories(raylet_plasma_objects PUBLIC ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/include)
target_link_libraries(raylet_plasma_objects PUBLIC raylet_plasma_client)

add_library(raylet_plasma SHARED $<TARGET_OBJECTS:raylet_plasma_objects>)
add_library(raylet::plasma ALIAS raylet_plasma)
target_link_libraries(raylet_plasma PRIVATE raylet_plasma_client)
target_link_options(raylet_plasma PRIVATE -Wl,--exclude-libs,ALL)
target_include_directories(raylet_plasma INTERFACE
  $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(raylet_plasma INTERFACE cxx_std_20)
set_target_properties(raylet_plasma PROPERTIES EXPORT_NAME plasma VERSION ${PROJECT_VERSION} SOVERSION 0)
