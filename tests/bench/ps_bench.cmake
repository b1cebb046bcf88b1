raylet_bench(ps_bench SOURCES ps_bench.cc LINK raylet_client_parameter_server raylet_ray_client)
add_dependencies(ps_bench raylet plasma_store)
raylet_bench_test(ps_bench --brief)
# The limit is a plain loop as users would write it: vectorised, like the library's own.
set_source_files_properties(ps_bench.cc PROPERTIES COMPILE_OPTIONS "-O3")
