// Sources of the product under relacy: it runs them with its own atomics, in many interleavings, and a load may see
// every value that the C++ memory model allows. Included after all headers that have no atomics, and before the sources
// and headers under test. Names that begin with `std` are relacy's from here on, where it has them.
// Each test says the promise, and defects: an order that one function weakens. relacy must find each of them.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <boost/interprocess/offset_ptr.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <new>
#include <optional>
#include <ostream>
#include <relacy/relacy.hpp>
#include <span>
#include <streambuf>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#undef assert
#undef delete
#undef free
#undef malloc
#undef new

namespace orders {

// What relacy says. It replaces operator new while it runs, but not for streams of the C++ library.
class Report : public std::streambuf {
 public:
  Report() { setp(text_.data(), text_.data() + text_.size()); }
  std::string_view text() const { return {text_.data(), static_cast<size_t>(pptr() - pbase())}; }

 private:
  int overflow(int) override { return 0; }  // the rest is left out

  static inline std::array<char, 1 << 20> text_;
};

struct Defect {
  const char* function = "";  // of the product
  rl::memory_order order = rl::mo_relaxed;
  rl::memory_order instead = rl::mo_relaxed;
};
inline Defect defect;

inline rl::memory_order Of(rl::memory_order order, const char* function) {
  return order == defect.order && std::strcmp(function, defect.function) == 0 ? defect.instead : order;
}

// Runs the test as it is, and with each defect. 0: nothing found in the first, and all of the others.
template <class Test>
int Check(const char* name, std::initializer_list<Defect> defects, unsigned long iterations) {
  const auto finds = [&](const Defect& with) {
    defect = with;
    Report report;
    std::ostream output(&report);
    rl::test_params params;
    params.iteration_count = iterations;
    params.output_stream = params.progress_stream = &output;
    params.execution_depth_limit = 20'000;
    const bool passed = rl::simulate<Test>(params);
    if (with.function[0] == '\0' && !passed)
      std::printf("%.*s\n", static_cast<int>(report.text().size()), report.text().data());
    return !passed;
  };
  if (finds({})) {
    std::printf("%s: relacy finds the above\n", name);
    return 1;
  }
  std::printf("%s: %lu executions, nothing wrong\n", name, iterations);
  for (const Defect& each : defects) {
    if (!finds(each)) {
      std::printf("%s: a weaker order in %s is not found\n", name, each.function);
      return 1;
    }
    std::printf("%s: a weaker order in %s is found\n", name, each.function);
  }
  return 0;
}

}  // namespace orders

namespace relacy_std {
using namespace std;
using rl::atomic;
using rl::mo_acq_rel;
using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;
using rl::mo_seq_cst;
inline void atomic_thread_fence(rl::memory_order order, rl::debug_info_param info) {
  if (order != rl::mo_relaxed) rl::atomic_thread_fence(order, info);
}
inline rl::memory_order OrderOf(rl::memory_order order, const char* function) { return orders::Of(order, function); }
}  // namespace relacy_std

#define memory_order_relaxed OrderOf(rl::mo_relaxed, __func__), $
#define memory_order_acquire OrderOf(rl::mo_acquire, __func__), $
#define memory_order_release OrderOf(rl::mo_release, __func__), $
#define memory_order_acq_rel OrderOf(rl::mo_acq_rel, __func__), $
#define memory_order_seq_cst OrderOf(rl::mo_seq_cst, __func__), $
#define static_assert(...) /* relacy's atomics are larger, and lie in no shared memory */
#define std relacy_std
