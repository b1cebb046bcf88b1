raylet_test(ray_api_test
  SOURCES
    ray_api_actor_test.cc
    ray_api_array_test.cc
    ray_api_config_test.cc
    ray_api_registry_test.cc
    ray_api_task_test.cc
  LINK raylet_ray_client)

# Every public header of ray:: compiles alone.
file(GLOB_RECURSE ray_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/client/include
  ${PROJECT_SOURCE_DIR}/client/include/ray/*.h)
set(ray_header_sources)
foreach(header ${ray_headers})
  string(MAKE_C_IDENTIFIER ${header} name)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/alone/${name}.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "#include <${header}>\n")
  list(APPEND ray_header_sources ${source})
endforeach()
if(NOT RAYLET_SANITIZE)
  add_library(ray_api_headers_alone OBJECT ${ray_header_sources})
  target_include_directories(ray_api_headers_alone PRIVATE ${PROJECT_SOURCE_DIR}/client/include)
endif()

# The example runs in process, and on daemons of its own.
add_test(NAME parameter_server_in_process COMMAND parameter_server --ray_local_mode=true)
add_test(NAME parameter_server_on_private_daemons COMMAND parameter_server)
set_tests_properties(parameter_server_in_process parameter_server_on_private_daemons PROPERTIES
  PROCESSORS 2 TIMEOUT 120 ENVIRONMENT "RAYLET_BIN_DIR=${CMAKE_BINARY_DIR}/bin"
  PASS_REGULAR_EXPRESSION "4 servers, 2 workers, 100 rounds: 10000 of 10000 parameters are 200")
