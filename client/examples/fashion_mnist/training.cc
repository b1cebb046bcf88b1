#include "fashion_mnist/training.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <limits>
#include <numeric>

#include "fashion_mnist/random.h"

namespace fashion {

TrainOptions DefaultsFor(ModelKind model) {
  TrainOptions options;
  options.model = model;
  if (model == ModelKind::kSoftmax) options.epochs = 10;
  return options;
}

BatchPlan::BatchPlan(size_t images, const TrainOptions& options)
    : batch_(options.batch),
      workers_(options.workers),
      seed_(options.seed),
      shuffled_epoch_(std::numeric_limits<size_t>::max()),
      order_(images) {}

size_t BatchPlan::BatchSize(size_t step) const { return std::min(batch_, order_.size() - step * batch_); }

std::span<const uint32_t> BatchPlan::SubBatch(size_t epoch, size_t step, size_t rank) {
  if (epoch != shuffled_epoch_) Shuffle(epoch);
  const Piece piece = ShardOf(BatchSize(step), workers_, rank);
  return std::span(order_).subspan(step * batch_ + piece.offset, piece.size);
}

void BatchPlan::Shuffle(size_t epoch) {
  std::iota(order_.begin(), order_.end(), 0U);
  Random random(seed_ ^ (uint64_t{epoch} + 1) << 32);
  for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random.Below(i)]);
  shuffled_epoch_ = epoch;
}

float RateAt(const TrainOptions& options, size_t step, size_t steps) {
  return options.rate * (1 - static_cast<float>(step) / static_cast<float>(steps));
}

Piece ShardOf(size_t count, size_t shards, size_t index) {
  const size_t offset = count * index / shards;
  return {offset, count * (index + 1) / shards - offset};
}

void Concatenate(std::span<const std::span<const float>> pieces, std::span<float> flat) {
  float* out = flat.data();
  for (const auto piece : pieces) out = std::copy(piece.begin(), piece.end(), out);
  assert(out == flat.data() + flat.size());
}

void Sgd::Apply(std::span<const float> parameters, std::span<const std::span<const float>> gradients, float rate,
                std::span<float> next) {
  // Small enough for the first-level cache, so every input is read from memory once, however many gradients there are.
  constexpr size_t kChunk = 1024;
  float sums[kChunk];
  for (size_t first = 0; first < size_; first += kChunk) {
    const size_t count = std::min(kChunk, size_ - first);
    std::fill_n(sums, count, 0.0F);
    for (const auto gradient : gradients) {
      const float* term = gradient.data() + first;
      for (size_t i = 0; i < count; ++i) sums[i] += term[i];
    }
    if (!velocity_.empty()) {
      float* velocity = velocity_.data() + first;
      for (size_t i = 0; i < count; ++i) sums[i] = velocity[i] = momentum_ * velocity[i] + sums[i];
    }
    const float* from = parameters.data() + first;
    float* to = next.data() + first;
    for (size_t i = 0; i < count; ++i) to[i] = from[i] - rate * sums[i];
  }
}

TrainResult TrainInOneProcess(const TrainOptions& options, const DatasetView& train, const DatasetView& test,
                              const std::function<void(const EpochReport&)>& report) {
  Model model(options.model);
  const size_t size = model.parameter_count();
  BatchPlan plan(train.count(), options);
  const size_t steps = options.epochs * plan.steps_per_epoch();
  Sgd sgd(size, options.momentum);
  TrainResult result{model.InitialParameters(options.seed), 0};
  std::vector<std::vector<float>> gradients(options.workers, std::vector<float>(size));
  const std::vector<std::span<const float>> in_rank_order(gradients.begin(), gradients.end());
  Batch batch;
  for (size_t epoch = 0; epoch < options.epochs; ++epoch) {
    const auto start = std::chrono::steady_clock::now();
    double loss = 0;
    for (size_t step = 0; step < plan.steps_per_epoch(); ++step) {
      const float scale = 1.0F / static_cast<float>(plan.BatchSize(step));
      for (size_t rank = 0; rank < options.workers; ++rank) {
        Load(train, plan.SubBatch(epoch, step, rank), batch);
        loss += model.Gradient(result.parameters, batch, scale, gradients[rank]);
      }
      const float rate = RateAt(options, epoch * plan.steps_per_epoch() + step, steps);
      sgd.Apply(result.parameters, in_rank_order, rate, result.parameters);
    }
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const size_t correct = model.CountCorrect(result.parameters, test);
    result.accuracy = static_cast<double>(correct) / static_cast<double>(test.count());
    if (report) report({epoch, loss / static_cast<double>(train.count()), result.accuracy, elapsed.count()});
  }
  return result;
}

}  // namespace fashion
