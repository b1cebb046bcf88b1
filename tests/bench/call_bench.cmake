raylet_bench(call_bench SOURCES call_bench.cc LINK raylet_ray_client)
add_dependencies(call_bench raylet plasma_store)
raylet_bench_test(call_bench)
