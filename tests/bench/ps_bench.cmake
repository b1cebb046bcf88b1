# libzmq (Debian's libzmq3-dev) is the control of one figure; without it the figure is missing.
pkg_check_modules(ZMQ QUIET IMPORTED_TARGET libzmq)
set(ps_bench_zmq)
if(ZMQ_FOUND)
  set(ps_bench_zmq ps_bench_zmq.cc)
endif()
raylet_bench(ps_bench SOURCES ps_bench.cc ps_bench_compressed.cc ps_bench_sparse.cc ${ps_bench_zmq}
  LINK raylet_client_parameter_server raylet_ray_client PkgConfig::ABSL_HASH)
if(ZMQ_FOUND)
  target_link_libraries(ps_bench PRIVATE PkgConfig::ZMQ)
  target_compile_definitions(ps_bench PRIVATE RAYLET_HAVE_ZMQ)
endif()
add_dependencies(ps_bench raylet plasma_store)
raylet_bench_test(ps_bench --brief)
# The limits are plain loops as users would write them: vectorised, like the library's own.
set_source_files_properties(ps_bench.cc ps_bench_compressed.cc ps_bench_sparse.cc ${ps_bench_zmq} PROPERTIES COMPILE_OPTIONS "-O3")
