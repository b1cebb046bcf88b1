# ray_cluster_test(NAME SOURCES… [SLOTS number] [TIMEOUT seconds] [COST seconds]): tests
# of the ray:: runtime with real daemons and processes. The test program is its own worker, so all
# its processes have the same functions and main.
function(ray_cluster_test name)
  cmake_parse_arguments(T "" "SLOTS;TIMEOUT;COST" "" ${ARGN})
  set(shared ${PROJECT_SOURCE_DIR}/tests/client/ray/cluster)
  add_executable(${name} ${T_UNPARSED_ARGUMENTS} ${shared}/cluster_functions.cc ${shared}/cluster_main.cc)
  target_link_libraries(${name} PRIVATE raylet_ray_client raylet_test_harness GTest::gtest Threads::Threads)
  add_dependencies(${name} raylet plasma_store)
  raylet_unite(${name})
  raylet_discover_tests(${name} 120 cluster)
endfunction()
