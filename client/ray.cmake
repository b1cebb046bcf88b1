# The ray:: layer: what the public templates need (ray_api.cmake) and the runtime of drivers and workers
# (ray_runtime.cmake). Each appends to RAY_SOURCES.
set(RAY_SOURCES)
include(ray_api.cmake)
include(ray_runtime.cmake)

add_library(raylet_ray_objects OBJECT ${RAY_SOURCES})
target_include_directories(raylet_ray_objects PUBLIC ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/include)
target_link_libraries(raylet_ray_objects PUBLIC raylet_fbs raylet_plasma_client raylet_local_raylets)
raylet_unite_room(raylet_ray_objects)

# For tests and programs of this build that look inside.
add_library(raylet_ray_client STATIC $<TARGET_OBJECTS:raylet_ray_objects>)
target_include_directories(raylet_ray_client PUBLIC ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/include)
target_link_libraries(raylet_ray_client PUBLIC raylet_fbs raylet_plasma_client raylet_local_raylets)

# What users link: raylet::ray. Only RAYLET_API symbols are visible.
add_library(raylet_ray SHARED $<TARGET_OBJECTS:raylet_ray_objects>)
add_library(raylet::ray ALIAS raylet_ray)
target_link_libraries(raylet_ray PRIVATE raylet_fbs raylet_plasma_client raylet_local_raylets)
target_link_options(raylet_ray PRIVATE -Wl,--exclude-libs,ALL)
target_include_directories(raylet_ray INTERFACE
  $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(raylet_ray INTERFACE cxx_std_20)
set_target_properties(raylet_ray PROPERTIES EXPORT_NAME ray VERSION ${PROJECT_VERSION} SOVERSION 0)
