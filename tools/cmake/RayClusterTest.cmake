# ray_cluster_test(NAME SOURCES… [SLOTS number] [TIMEOUT seconds] [COST seconds]): tests
# of the ray:: runtime with real daemons and processes. The test program is its own worker, so all
# its processes have the same functions and main.
function(ray_cluster_test name)
  cmake_parse_arguments(T "" "SLOTS;TIMEOUT;COST" "" ${ARGN})
  if(NOT T_SLOTS)
    set(T_SLOTS ${RAYLET_TEST_SLOTS})
  endif()
  if(NOT T_COST)
    set(T_COST 1)
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  set(shared ${PROJECT_SOURCE_DIR}/tests/client/ray/cluster)
  add_executable(${name} ${T_UNPARSED_ARGUMENTS} ${shared}/cluster_functions.cc ${shared}/cluster_main.cc)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE raylet_ray_client raylet_test_harness GTest::gtest Threads::Threads)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_dependencies(${name} raylet plasma_store)
  raylet_unite(${name})
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60
    PROPERTIES PROCESSORS ${T_SLOTS} COST ${T_COST} TIMEOUT ${T_TIMEOUT} LABELS "cluster" ENVIRONMENT "RAYLET_BIN_DIR=${CMAKE_BINARY_DIR}/bin")
endfunction()
