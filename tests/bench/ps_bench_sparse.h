// The figures of ps_bench about tables: rows by key, beside a hash table of one process.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/bench/figures.h"

namespace raylet::bench {

// Pulls and pushes 10,000 random rows of 64 floats out of `rows`. Between Init and Shutdown.
void AddSparse(std::vector<Figure>& figures, uint64_t rows);

}  // namespace raylet::bench
