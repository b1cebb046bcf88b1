# The runtime of drivers and workers, with real daemons and processes.
include(RayClusterTest)
ray_cluster_test(ray_cluster_task_test ray_cluster_task_test.cc)
ray_cluster_test(ray_cluster_actor_test ray_cluster_actor_test.cc)
ray_cluster_test(ray_cluster_fault_test ray_cluster_fault_test.cc)
ray_cluster_test(ray_cluster_resources_test ray_cluster_resources_test.cc)

# ray::Init finds the daemons: a program that tests copy to other places.
add_executable(ray_cluster_finder ray_cluster_finder.cc)
target_include_directories(ray_cluster_finder PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(ray_cluster_finder PRIVATE raylet_ray_client)
set_target_properties(ray_cluster_finder PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
ray_cluster_test(ray_cluster_init_test ray_cluster_init_test.cc)
target_compile_definitions(ray_cluster_init_test PRIVATE RAY_CLUSTER_FINDER="$<TARGET_FILE:ray_cluster_finder>")
add_dependencies(ray_cluster_init_test ray_cluster_finder)

# What an address host:port means to it.
raylet_test(local_raylets_test
  SOURCES local_raylets_test.cc
  LINK raylet_local_raylets raylet_plasma_client raylet_test_harness
  LABELS cluster)
target_compile_definitions(local_raylets_test PRIVATE RAY_CLUSTER_FINDER="$<TARGET_FILE:ray_cluster_finder>")
add_dependencies(local_raylets_test raylet plasma_store ray_cluster_finder)

# A program that begins in awkward ways.
add_executable(ray_cluster_awkward ray_cluster_awkward.cc ray_cluster_functions.cc)
target_include_directories(ray_cluster_awkward PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(ray_cluster_awkward PRIVATE raylet_ray_client)
set_target_properties(ray_cluster_awkward PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
ray_cluster_test(ray_cluster_awkward_test ray_cluster_awkward_test.cc)
target_compile_definitions(ray_cluster_awkward_test PRIVATE RAY_CLUSTER_AWKWARD="$<TARGET_FILE:ray_cluster_awkward>")
add_dependencies(ray_cluster_awkward_test ray_cluster_awkward)

# A program that is killed by a test.
add_executable(ray_cluster_driver ray_cluster_driver.cc ray_cluster_functions.cc)
target_include_directories(ray_cluster_driver PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(ray_cluster_driver PRIVATE raylet_ray_client)
set_target_properties(ray_cluster_driver PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
ray_cluster_test(ray_cluster_death_test ray_cluster_death_test.cc)
target_compile_definitions(ray_cluster_death_test PRIVATE RAY_CLUSTER_DRIVER="$<TARGET_FILE:ray_cluster_driver>")
add_dependencies(ray_cluster_death_test ray_cluster_driver)
ray_cluster_test(ray_cluster_idle_test ray_cluster_idle_test.cc CORES 1)
target_compile_definitions(ray_cluster_idle_test PRIVATE RAY_CLUSTER_DRIVER="$<TARGET_FILE:ray_cluster_driver>")
add_dependencies(ray_cluster_idle_test ray_cluster_driver)
