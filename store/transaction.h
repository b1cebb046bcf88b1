// Transaction: while it lives, counters of the index and entries change together. The ObjectStore has
// one in each verb; they may nest. Loop thread only.
// Always holds: a reader that saw the same even mutation_seq before and after saw numbers that add up.
#pragma once

#include <atomic>

#include "fbs/segment_layout.h"
#include "store/arena.h"

namespace raylet::store {

class Transaction {
 public:
  Transaction(IndexCounters& counters, const Arena& arena) : counters_(counters), arena_(arena) {
    if (counters_.mutation_seq.load(std::memory_order_relaxed) % 2 == 1) return;  // nested
    outer_ = true;
    counters_.mutation_seq.fetch_add(1, std::memory_order_seq_cst);
  }
  ~Transaction() {
    if (!outer_) return;
    counters_.physical_bytes.store(arena_.physical_bytes(), std::memory_order_relaxed);
    counters_.lent_bytes.store(arena_.lent_bytes(), std::memory_order_relaxed);
    counters_.mutation_seq.fetch_add(1, std::memory_order_seq_cst);
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

 private:
  IndexCounters& counters_;
  const Arena& arena_;
  bool outer_ = false;
};

// Of a counter that only this thread writes. Readers are objstat and tests.
inline void Add(std::atomic<uint64_t>& counter, uint64_t value) {
  counter.store(counter.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
}
inline void Subtract(std::atomic<uint64_t>& counter, uint64_t value) { Add(counter, ~value + 1); }

}  // namespace raylet::store
