# objstat over an index written by the test, then beside a real plasma_store.
raylet_test(objstat_test SOURCES objstat_test.cc LINK raylet_objstat raylet_test_harness)
add_dependencies(objstat_test objstat)

raylet_test(objstat_store_test SOURCES objstat_store_test.cc LINK raylet_objstat raylet_test_harness LABELS daemon)
add_dependencies(objstat_store_test objstat)
if(TARGET plasma_store)
  add_dependencies(objstat_store_test plasma_store)
endif()
