# ray_cluster_test(NAME SOURCES… [LINK…] [SLOTS number] [TIMEOUT seconds] [COST seconds]): tests of the
# ray:: runtime with real daemons and processes. The test program is its own worker, so all its
# processes have the same functions and main.
if(NOT TARGET ray_cluster_functions)
  set(shared ${PROJECT_SOURCE_DIR}/tests/client/ray/cluster)
  foreach(part functions main)
    add_library(ray_cluster_${part} OBJECT ${shared}/cluster_${part}.cc)
    target_include_directories(ray_cluster_${part} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(ray_cluster_${part} PRIVATE raylet_ray_client)
    raylet_use_ray_headers(ray_cluster_${part})
  endforeach()
  # The second driver of the tests of ownership.
  add_executable(ray_cluster_other ${shared}/cluster_other.cc ${shared}/keeper.cc)
  target_include_directories(ray_cluster_other PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(ray_cluster_other PRIVATE raylet_ray_client raylet_test_harness)
  raylet_use_ray_headers(ray_cluster_other)
  set_target_properties(ray_cluster_other PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endif()

function(ray_cluster_test name)
  cmake_parse_arguments(T "" "SLOTS;TIMEOUT;COST" "LINK" ${ARGN})
  add_executable(${name} ${T_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ray_cluster_functions ray_cluster_main raylet_ray_client raylet_test_harness
    ${T_LINK} GTest::gtest Threads::Threads)
  target_compile_definitions(${name} PRIVATE RAY_CLUSTER_OTHER="$<TARGET_FILE:ray_cluster_other>")
  add_dependencies(${name} raylet plasma_store ray_cluster_other)
  raylet_unite(${name})
  raylet_use_ray_headers(${name})
  raylet_discover_tests(${name} 120 cluster)
endfunction()
