#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "fashion_mnist/random.h"
#include "fashion_mnist/training.h"

namespace fashion {
namespace {

// Images that a linear model can learn: noise, and a bright row that depends on the label.
Dataset MakeDataset(size_t images, uint64_t seed) {
  Dataset data;
  Random random(seed);
  data.pixels.resize(images * kPixels);
  for (uint8_t& pixel : data.pixels) pixel = static_cast<uint8_t>(random.Below(200));
  for (size_t i = 0; i < images; ++i) {
    const size_t label = random.Below(kClasses);
    data.labels.push_back(static_cast<uint8_t>(label));
    for (size_t column = 0; column < kImageSide; column += 2) {
      data.pixels[i * kPixels + 2 * label * kImageSide + column] = 255;
    }
  }
  return data;
}

TEST(FashionMnistTraining, SubBatchesShareOutEveryImageOncePerEpoch) {
  TrainOptions options;
  options.batch = 30;
  options.workers = 4;
  BatchPlan plan(100, options);
  ASSERT_EQ(plan.steps_per_epoch(), 4U);
  EXPECT_EQ(plan.BatchSize(3), 10U);
  std::vector<uint32_t> first_epoch;
  for (size_t epoch = 0; epoch < 2; ++epoch) {
    std::vector<uint32_t> seen;
    for (size_t step = 0; step < 4; ++step) {
      for (size_t rank = 0; rank < 4; ++rank) {
        const auto part = plan.SubBatch(epoch, step, rank);
        EXPECT_GE(part.size(), plan.BatchSize(step) / 4);
        EXPECT_LE(part.size(), plan.BatchSize(step) / 4 + 1);
        seen.insert(seen.end(), part.begin(), part.end());
      }
    }
    if (epoch == 0) {
      first_epoch = seen;
    } else {
      EXPECT_NE(seen, first_epoch);
    }
    std::sort(seen.begin(), seen.end());
    ASSERT_EQ(seen.size(), 100U);
    for (uint32_t i = 0; i < 100; ++i) EXPECT_EQ(seen[i], i);
  }
}

TEST(FashionMnistTraining, EveryProcessPlansTheSameBatches) {
  TrainOptions options;
  BatchPlan one(1000, options);
  BatchPlan other(1000, options);
  other.SubBatch(4, 0, 1);  // the order does not depend on what was asked before
  const auto a = one.SubBatch(2, 3, 1);
  const auto b = other.SubBatch(2, 3, 1);
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
}

TEST(FashionMnistTraining, MoreWorkersThanImagesLeaveSomeWithoutAny) {
  TrainOptions options;
  options.batch = 2;
  options.workers = 5;
  BatchPlan plan(2, options);
  size_t images = 0;
  for (size_t rank = 0; rank < 5; ++rank) images += plan.SubBatch(0, 0, rank).size();
  EXPECT_EQ(images, 2U);
}

TEST(FashionMnistTraining, ShardsConcatenateToTheWhole) {
  std::vector<float> whole(7850);
  for (size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<float>(i);
  for (size_t shards = 1; shards <= 7; ++shards) {
    std::vector<std::span<const float>> pieces;
    for (size_t i = 0; i < shards; ++i) {
      const Piece piece = ShardOf(whole.size(), shards, i);
      EXPECT_GE(piece.size, whole.size() / shards);
      EXPECT_LE(piece.size, whole.size() / shards + 1);
      pieces.push_back(std::span<const float>(whole).subspan(piece.offset, piece.size));
    }
    std::vector<float> flat(whole.size());
    Concatenate(pieces, flat);
    EXPECT_EQ(flat, whole) << shards << " shards";
  }
}

TEST(FashionMnistTraining, TheRateFallsToZeroInAStraightLine) {
  TrainOptions options;
  options.rate = 0.5F;
  EXPECT_FLOAT_EQ(RateAt(options, 0, 10), 0.5F);
  EXPECT_FLOAT_EQ(RateAt(options, 5, 10), 0.25F);
  EXPECT_GT(RateAt(options, 9, 10), 0);
}

TEST(FashionMnistTraining, SgdMovesAgainstTheSummedGradients) {
  Sgd sgd(2, 0.5F);
  std::vector<float> parameters{1, 2};
  const std::vector<float> a{1, 0};
  const std::vector<float> b{3, 2};
  const std::vector<std::span<const float>> gradients{a, b};
  std::vector<float> next(2);
  sgd.Apply(parameters, gradients, 0.25F, next);  // velocity 4, 2
  EXPECT_EQ(next, (std::vector<float>{0, 1.5F}));
  sgd.Apply(next, {}, 0.25F, next);  // velocity 2, 1
  EXPECT_EQ(next, (std::vector<float>{-0.5F, 1.25F}));
}

// The synchronous mode of the distributed program, without its processes. Every shard has a server of its own.
std::vector<float> TrainSharded(const TrainOptions& options, const DatasetView& train) {
  Model model(options.model);
  const size_t size = model.parameter_count();
  const std::vector<float> initial = model.InitialParameters(options.seed);
  std::vector<Sgd> servers;
  std::vector<std::vector<float>> shards;
  for (size_t i = 0; i < options.shards; ++i) {
    const Piece piece = ShardOf(size, options.shards, i);
    servers.emplace_back(piece.size, options.momentum);
    const auto from = initial.begin() + static_cast<std::ptrdiff_t>(piece.offset);
    shards.emplace_back(from, from + static_cast<std::ptrdiff_t>(piece.size));
  }
  BatchPlan plan(train.count(), options);
  const size_t steps = options.epochs * plan.steps_per_epoch();
  std::vector<float> parameters(size);
  std::vector<std::vector<float>> gradients(options.workers, std::vector<float>(size));
  for (size_t step = 0; step <= steps; ++step) {
    Concatenate(std::vector<std::span<const float>>(shards.begin(), shards.end()), parameters);
    if (step == steps) break;
    const size_t epoch = step / plan.steps_per_epoch();
    const size_t step_of_epoch = step % plan.steps_per_epoch();
    for (size_t rank = 0; rank < options.workers; ++rank) {
      Model worker(options.model);
      Batch batch;
      Load(train, plan.SubBatch(epoch, step_of_epoch, rank), batch);
      worker.Gradient(parameters, batch, 1.0F / static_cast<float>(plan.BatchSize(step_of_epoch)), gradients[rank]);
    }
    for (size_t i = 0; i < options.shards; ++i) {
      const Piece piece = ShardOf(size, options.shards, i);
      std::vector<std::span<const float>> pieces;
      for (const auto& gradient : gradients) {
        pieces.push_back(std::span<const float>(gradient).subspan(piece.offset, piece.size));
      }
      std::vector<float> next(piece.size);
      servers[i].Apply(shards[i], pieces, RateAt(options, step, steps), next);
      shards[i] = next;
    }
  }
  return parameters;
}

TEST(FashionMnistTraining, AnyNumberOfShardsEqualsOneProcessBitForBit) {
  const Dataset data = MakeDataset(250, 5);
  for (const ModelKind model : {ModelKind::kSoftmax, ModelKind::kMlp}) {
    for (const float momentum : {0.0F, 0.9F}) {
      TrainOptions options = DefaultsFor(model);
      options.epochs = 1;
      options.workers = 3;
      options.momentum = momentum;
      const TrainResult whole = TrainInOneProcess(options, data.view(), data.view().First(10));
      for (const size_t shards : {1, 2, 3}) {
        options.shards = shards;
        const std::vector<float> sharded = TrainSharded(options, data.view());
        ASSERT_EQ(sharded.size(), whole.parameters.size());
        EXPECT_EQ(std::memcmp(sharded.data(), whole.parameters.data(), sharded.size() * sizeof(float)), 0)
            << NameOf(model) << ", " << shards << " shards";
      }
    }
  }
}

TEST(FashionMnistTraining, BothModelsLearn) {
  const Dataset train = MakeDataset(1200, 1);
  const Dataset test = MakeDataset(300, 2);
  for (const ModelKind model : {ModelKind::kSoftmax, ModelKind::kMlp}) {
    TrainOptions options = DefaultsFor(model);
    options.epochs = 3;
    std::vector<EpochReport> reports;
    const TrainResult result = TrainInOneProcess(options, train.view(), test.view(),
                                                 [&](const EpochReport& report) { reports.push_back(report); });
    ASSERT_EQ(reports.size(), 3U);
    EXPECT_EQ(reports[2].epoch, 2U);
    EXPECT_LT(reports[2].loss, reports[0].loss) << NameOf(model);
    EXPECT_GT(result.accuracy, 0.9) << NameOf(model);
    EXPECT_EQ(result.accuracy, reports[2].accuracy);
  }
}

TEST(FashionMnistTraining, TheSameSeedGivesTheSameParametersAndAnotherSeedOthers) {
  const Dataset data = MakeDataset(240, 3);
  TrainOptions options = DefaultsFor(ModelKind::kMlp);
  options.epochs = 1;
  const TrainResult first = TrainInOneProcess(options, data.view(), data.view());
  EXPECT_EQ(TrainInOneProcess(options, data.view(), data.view()).parameters, first.parameters);
  options.seed = 2;
  EXPECT_NE(TrainInOneProcess(options, data.view(), data.view()).parameters, first.parameters);
}

}  // namespace
}  // namespace fashion
