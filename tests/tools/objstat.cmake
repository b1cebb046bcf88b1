# objstat over an index written by the test, then beside a real plasma_store.
raylet_test(objstat_test SOURCES objstat_test.cc objstat_findings_test.cc objstat_json_test.cc objstat_reports_test.cc
  LINK raylet_tools raylet_store_core raylet_test_harness)
target_compile_definitions(objstat_test PRIVATE OBJSTAT_DOC="${PROJECT_SOURCE_DIR}/docs/objstat.md")
add_dependencies(objstat_test objstat)

raylet_test(objstat_store_test SOURCES objstat_store_test.cc LINK raylet_tools raylet_test_harness LABELS daemon)
add_dependencies(objstat_store_test objstat)
if(TARGET plasma_store)
  add_dependencies(objstat_store_test plasma_store)
endif()

# A driver of the runtime's tests, killed beside it.
if(TARGET plasma_store AND TARGET raylet AND TARGET ray_cluster_driver)
  raylet_test(objstat_driver_test SOURCES objstat_driver_test.cc LINK raylet_base raylet_test_harness
    nlohmann_json::nlohmann_json LABELS cluster)
  target_compile_definitions(objstat_driver_test PRIVATE RAY_CLUSTER_DRIVER="$<TARGET_FILE:ray_cluster_driver>")
  add_dependencies(objstat_driver_test objstat plasma_store raylet ray_cluster_driver)
endif()
