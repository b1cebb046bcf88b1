# The store client: its parts in process, then against a real plasma_store.
raylet_test(plasma_index_test
  SOURCES plasma_index_test.cc plasma_pins_test.cc plasma_fork_test.cc
  LINK raylet_plasma_client)

# How many system calls a get makes is counted by strace around this program.
add_executable(plasma_get_between_markers plasma_get_between_markers.cc)
target_link_libraries(plasma_get_between_markers PRIVATE raylet_plasma_client)
set_target_properties(plasma_get_between_markers PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

raylet_test(plasma_store_client_test
  SOURCES plasma_store_client_test.cc plasma_faults_test.cc plasma_system_calls_test.cc
  LINK raylet_plasma_client raylet_test_harness
  LABELS daemon)
target_compile_definitions(plasma_store_client_test PRIVATE
  GET_BETWEEN_MARKERS="$<TARGET_FILE:plasma_get_between_markers>")
add_dependencies(plasma_store_client_test plasma_get_between_markers)
if(TARGET plasma_store)
  add_dependencies(plasma_store_client_test plasma_store)
endif()

# As users see it: the shared library and the public headers alone.
raylet_test(plasma_api_test SOURCES plasma_api_test.cc LINK raylet_plasma raylet_test_harness LABELS daemon)
if(TARGET plasma_store)
  add_dependencies(plasma_api_test plasma_store)
endif()
