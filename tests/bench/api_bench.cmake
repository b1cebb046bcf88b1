# It uses what a user's program uses, so that compare_ray can build it against Ray, too. Here it runs once, in small.
raylet_bench(api_bench SOURCES api_bench.cc LINK raylet_ray_client)
add_dependencies(api_bench raylet plasma_store)
raylet_bench_test(api_bench --row-seconds 0.02 --deadline 60 --size-divisor 100)
set_tests_properties(bench.api_bench PROPERTIES ENVIRONMENT "RAYLET_BIN_DIR=$<TARGET_FILE_DIR:raylet>")
