// What users choose for a server: an optimiser of their own, compressed gradients, the places of shards.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <ray/parameter_server.h>

#include "tests/client/parameter_server/message_of.h"
#include "tests/client/parameter_server/two_modes_fixture.h"

namespace custom_test {

using parameter_server_test::MessageOf;
using parameter_server_test::NameOfMode;
using parameter_server_test::TwoModesTest;
namespace ps = ray::ps;
using FloatServer = ps::Parameters<float>;

// Heavy balls whose push is the sign of the gradient.
struct Signs {
  static constexpr size_t kSlots = 1;
  double rate = 1;
  MSGPACK_DEFINE(rate)
  template <class T>
  void operator()(const ps::Elements<T>& e) const {
    for (size_t i = 0; i < e.parameters.size(); ++i) {
      e.first[i] = e.first[i] / 2 + (e.gradient[i] > 0 ? T{1} : T{-1});
      e.parameters[i] -= static_cast<T>(rate * e.factor) * e.first[i];
    }
  }
};

struct OfFloats {
  int nothing = 0;
  MSGPACK_DEFINE(nothing)
  void operator()(const ps::Elements<float>& e) const {
    for (size_t i = 0; i < e.parameters.size(); ++i) e.parameters[i] = static_cast<float>(e.step + 1);
  }
};

template <class Updated>
void Push(Updated& to, float value) {
  auto gradient = to.NewGradient();
  gradient.Fill(value);
  to.Update(std::move(gradient));
}

class CustomTest : public TwoModesTest {};
INSTANTIATE_TEST_SUITE_P(Modes, CustomTest, testing::Values(true, false), NameOfMode);

TEST_P(CustomTest, AnOptimiserOfTheUsersOwnHasItsFieldsItsStateAndTheSchedule) {
  const auto server = FloatServer::Create(
      3000, {.shards = 2, .optimizer = ps::Custom(Signs{.rate = 8}), .schedule = ps::Schedule::Step(2, 0.5)});
  Push(server, 3);     // state 1
  Push(server, 0.1F);  // 1.5
  Push(server, -7);    // -0.25, and half the rate
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(3000, -8 - 12 + 1));
  const auto table = ps::Table<int, double>::Create(2, {.optimizer = ps::Custom(Signs{.rate = 4})});
  table.Push({7, 7}, std::vector<double>{1, -1, 1, -1});
  table.Push({7}, std::vector<double>{1, -1});
  EXPECT_EQ(table.Pull({7}).Copy(), (std::vector<double>{-4 - 6, 4 + 6}));
}

TEST_P(CustomTest, AnOptimiserForOtherElementsSaysSo) {
  const auto floats = FloatServer::Create(10, {.optimizer = ps::Custom(OfFloats())});
  Push(floats, 1);
  EXPECT_EQ(floats.Get()[9], 1);
  const auto doubles = ps::Parameters<double>::Create(10, {.optimizer = ps::Custom(OfFloats())});
  auto gradient = doubles.NewGradient();
  gradient.Fill(1);
  const std::string message = MessageOf([&] {
    doubles.Update(std::move(gradient));
    doubles.Get();
  });
  EXPECT_NE(message.find("takes no Elements<double>, and the server's parameters are of double"), std::string::npos)
      << message;
  EXPECT_EQ(MessageOf([] {
              FloatServer::Create(10, {.optimizer = ps::CustomRule{"i", ""}});
            }),
            "this program has no optimiser int: the programs of a cluster's workers take the same functors as the one "
            "that calls Create");
}

TEST_P(CustomTest, CompressedGradientsAddUpToWhatWasSent) {
  // What has not arrived yet is what one gradient loses. With a quarter of the elements these are some gradients.
  const std::vector<std::pair<ps::Compression, double>> bounds = {
      {ps::Compression::Half(), 0.001}, {ps::Compression::Byte(), 0.01}, {ps::Compression::Top(0.25), 6}};
  for (const auto& [compression, bound] : bounds) {
    const auto server = FloatServer::Create(
        1000, {.shards = 3, .optimizer = ps::Sgd{.rate = 1}, .compression = compression.Everywhere()});
    auto worker = server.Worker(0);
    std::vector<double> sum(1000);
    for (int round = 0; round < 40; ++round) {
      worker.Get();
      auto gradient = worker.NewGradient();
      for (size_t i = 0; i < gradient.size(); ++i) {
        gradient[i] = std::sin(static_cast<float>(i * 7 + static_cast<size_t>(round)));
        sum[i] += static_cast<double>(gradient[i]);
      }
      worker.Update(std::move(gradient));
    }
    const auto values = server.Get().Copy();
    for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(-static_cast<double>(values[i]), sum[i], bound) << i;
    for (const ps::ShardStats& shard : server.Stats()) EXPECT_EQ(shard.packed, 40U);
  }
}

TEST_P(CustomTest, GradientsOnTheWorkersOwnMachineStayWhole) {
  const auto server = FloatServer::Create(
      100, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .compression = ps::Compression::Top(0.01)});
  auto worker = server.Worker(0);
  worker.Get();
  Push(worker, 1);
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(100, -1));
  for (const ps::ShardStats& shard : server.Stats()) EXPECT_EQ(shard.packed, 0U);
}

TEST_P(CustomTest, OptionsThatDoNotFitAreNamed) {
  EXPECT_EQ(MessageOf([] {
              FloatServer::Create(10, {.shards = 2, .placement = {{{"CPU", 1}}}});
            }),
            "placement has 1 entries, and there are 2 shards: it takes none, or one for each shard");
  EXPECT_EQ(MessageOf([] { FloatServer::Create(10, {.compression = ps::Compression::Top(1.5)}); }),
            "the largest elements of a gradient were asked for with a share of 1.500000: it takes one above 0, and at "
            "most 1");
  EXPECT_EQ(MessageOf([] { ps::Table<int, float>::Create(1, {.compression = ps::Compression::Half()}); }),
            "a table's gradients are not compressed: leave Options::compression out");
}

}  // namespace custom_test
