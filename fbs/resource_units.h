// Units of resources, on the wire and in ledgers. Most amounts are counted in ten-thousandths, so that sums of
// fractions are exact. Memory is counted in bytes: an amount of 2^53 is exact, too, and a double has all its digits.
// Pure.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

namespace raylet {

constexpr int64_t kUnitsPerWhole = 10'000;
constexpr int64_t kUnitsMax = 4'000'000'000'000'000'000;  // of one resource; a sum of two is still an int64
constexpr int64_t kWholeMax = kUnitsMax / kUnitsPerWhole;
constexpr int64_t kMemoryAmountMax = int64_t{1} << 53;

// What every node has besides its CPUs: bytes that tasks may ask for, and the store's capacity.
constexpr const char* kMemory = "memory";
constexpr const char* kStoreMemory = "object_store_memory";

constexpr bool CountsBytes(std::string_view name) { return name == kMemory || name == kStoreMemory; }
constexpr int64_t UnitsPerWhole(std::string_view name) { return CountsBytes(name) ? 1 : kUnitsPerWhole; }
constexpr int64_t WholeMax(std::string_view name) { return CountsBytes(name) ? kMemoryAmountMax : kWholeMax; }
constexpr double LeastAmount(std::string_view name) { return 1.0 / static_cast<double>(UnitsPerWhole(name)); }

// The amount is at most WholeMax. A product of doubles has not all digits of large amounts.
inline int64_t UnitsOf(std::string_view name, double amount) {
  if (amount == std::floor(amount)) return static_cast<int64_t>(amount) * UnitsPerWhole(name);
  return std::llround(amount * static_cast<double>(UnitsPerWhole(name)));
}
inline double AmountOf(std::string_view name, int64_t units) {
  return static_cast<double>(units) / static_cast<double>(UnitsPerWhole(name));
}

}  // namespace raylet
