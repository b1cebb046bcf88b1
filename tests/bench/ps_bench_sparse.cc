#include "tests/bench/ps_bench_sparse.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <random>
#include <string>

#include <ray/parameter_server.h>

namespace raylet::bench {
namespace {

namespace ps = ray::ps;
constexpr size_t kRowSize = 64;
constexpr uint64_t kBatch = 10'000;

// The same work in one process.
class LocalTable {
 public:
  explicit LocalTable(uint64_t rows) : values_(rows * kRowSize) {
    index_.reserve(rows);
    for (uint64_t key = 0; key < rows; ++key) index_.emplace(key, key);
  }
  void Pull(const std::vector<uint64_t>& keys, std::vector<float>& out) const {
    for (size_t i = 0; i < keys.size(); ++i)
      std::copy_n(values_.data() + index_.at(keys[i]) * kRowSize, kRowSize, out.data() + i * kRowSize);
  }
  void Push(const std::vector<uint64_t>& keys, const std::vector<float>& gradients) {
    for (size_t i = 0; i < keys.size(); ++i) {
      float* const row = values_.data() + index_.at(keys[i]) * kRowSize;
      for (size_t k = 0; k < kRowSize; ++k) row[k] -= 0.1F * gradients[i * kRowSize + k];
    }
  }

 private:
  absl::flat_hash_map<uint64_t, uint64_t> index_;
  std::vector<float> values_;
};

}  // namespace

void AddSparse(std::vector<Figure>& figures, uint64_t rows) {
  constexpr int kSamples = 40;
  const auto table = ps::Table<uint64_t, float>::Create(kRowSize, {.optimizer = ps::Sgd{.rate = 0.1}});
  LocalTable local(rows);
  std::vector<uint64_t> keys;
  for (uint64_t first = 0; first < rows; first += keys.size()) {  // all rows begin
    keys.resize(std::min<uint64_t>(100'000, rows - first));
    for (size_t i = 0; i < keys.size(); ++i) keys[i] = first + i;
    table.Pull(keys);
  }
  std::mt19937_64 random(1);
  keys.resize(kBatch);
  const std::vector<float> gradients(kBatch * kRowSize, 1);
  std::vector<float> pulled(kBatch * kRowSize);
  std::vector<double> ours, plain;
  for (int i = -2; i < kSamples; ++i) {  // the first ones are not counted
    for (uint64_t& key : keys) key = random() % rows;
    const double start = NowSeconds();
    const auto got = table.Pull(keys);
    table.Push(keys, gradients);
    const double middle = NowSeconds();
    for (uint64_t& key : keys) key = random() % rows;
    const double again = NowSeconds();
    local.Pull(keys, pulled);
    local.Push(keys, gradients);
    const double end = NowSeconds();
    if (i < 0) continue;
    ours.push_back(middle - start);
    plain.push_back(end - again);
  }
  const double limit = Percentile(plain, 50) * 1e3;
  constexpr uint64_t kMillion = 1'000'000;
  const std::string of =
      rows >= kMillion ? std::to_string(rows / kMillion) + " million" : std::to_string(rows / 1000) + ",000";
  Figure figure =
      TimeFigure("pull and push 10,000 rows of " + of, ours, 1e3, "ms", "a hash table of one process", limit);
  figure.promise = Promise{Promise::Of::kRatio, Promise::Side::kAtMost, 2};
  figures.push_back(figure);
  Figure rate = figure;
  rate.name = "rows a second, " + of;
  rate.p50 = static_cast<double>(kBatch) / (figure.p50 / 1e3) / 1e6;
  rate.p99 = static_cast<double>(kBatch) / (figure.p99 / 1e3) / 1e6;
  rate.unit = "M rows/s";
  rate.limit = static_cast<double>(kBatch) / (limit / 1e3) / 1e6;
  rate.promise = Promise{Promise::Of::kMedian, Promise::Side::kAtLeast, 5};
  figures.push_back(rate);
}

}  // namespace raylet::bench
