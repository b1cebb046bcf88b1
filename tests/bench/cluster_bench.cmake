raylet_bench(cluster_bench SOURCES cluster_bench.cc iperf3.cc LINK raylet_ray_client)
add_dependencies(cluster_bench raylet plasma_store)
raylet_bench_test(cluster_bench --brief)
