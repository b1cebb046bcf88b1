// Machines that are killed while they work for others: every result is right, or an error that names the cause; and in
// the end nothing is left.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <deque>
#include <random>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/machines.h"

namespace cluster_test {
namespace {

using raylet::test::Eventually;
using raylet::test::Machine;
using raylet::test::RunFolder;
using raylet::test::WriteToken;
using namespace std::chrono_literals;

bool NamesTheCause(const std::string& what) {
  return what.find("lost") != std::string::npos || what.find("died") != std::string::npos ||
         what.find("killed") != std::string::npos;
}

class MachineChaos : public ::testing::Test {
 protected:
  void SetUp() override {
    ray::RayConfig config;
    config.address = a_.socket();
    ray::Init(config);
    for (auto& machine : others_) machine = Another();
  }
  void TearDown() override { ray::Shutdown(); }

  // All know each other.
  std::unique_ptr<Machine> Another() {
    std::string peers = a_.address;
    for (const auto& machine : others_)
      if (machine != nullptr) peers += "," + machine->address;
    return std::make_unique<Machine>(
        token_,
        std::vector<std::string>{"--num-cpus", "2", "--resources", R"({"there": 2, "actors": 4})", "--peers", peers});
  }

  RunFolder folder_;
  const std::string token_ = WriteToken(folder_);
  Machine a_{token_, {"--num-cpus", "2"}};
  std::unique_ptr<Machine> others_[2];
};

TEST_F(MachineChaos, EveryResultIsRightOrAnErrorThatNamesTheCause) {
  std::mt19937 random(20261125);
  size_t right = 0, errors = 0;
  {
    const auto base = ray::Put(std::string(300'000, 'x'));
    std::deque<std::pair<ray::ObjectRef<size_t>, size_t>> lengths;
    std::deque<std::pair<ray::ObjectRef<std::string>, size_t>> texts;
    const auto take = [&](auto& queue, auto check) {
      auto [ref, expected] = queue.front();
      queue.pop_front();
      try {
        EXPECT_TRUE(check(*ref.Get(30'000), expected));
        ++right;
      } catch (const ray::internal::RayTimeoutException& e) {
        ADD_FAILURE() << e.what();
      } catch (const ray::internal::RayException& e) {
        EXPECT_TRUE(NamesTheCause(e.what())) << e.what();
        ++errors;
      }
    };
    const auto same_length = [](size_t length, size_t expected) { return length == expected; };
    const auto same_text = [](const std::string& text, size_t expected) {
      return text.size() == expected && text.find_first_not_of('y') == std::string::npos;
    };
    for (int round = 0; round < 6; ++round) {
      for (int i = 0; i < 30; ++i) {
        const int times = 1 + static_cast<int>(random() % 200'000);
        auto text = ray::Task(Repeat).SetResource("there", 1).Remote(std::string("y"), times);
        lengths.emplace_back(ray::Task(Length).Remote(text), static_cast<size_t>(times));
        texts.emplace_back(std::move(text), static_cast<size_t>(times));
        lengths.emplace_back(ray::Task(Length).SetResource("there", 1).Remote(base), 300'000u);
      }
      auto& victim = others_[round % 2];
      victim->raylet->Signal(SIGKILL);
      if (round % 3 == 0) victim->store->Signal(SIGKILL);
      victim = Another();
      while (texts.size() > 15) take(texts, same_text);
      while (lengths.size() > 15) take(lengths, same_length);
    }
    while (!texts.empty()) take(texts, same_text);
    while (!lengths.empty()) take(lengths, same_length);
  }
  EXPECT_EQ(right + errors, 6u * 90u);
  EXPECT_GT(right, errors);
  RecordProperty("errors", static_cast<int>(errors));
  const Machine* const machines[] = {&a_, others_[0].get(), others_[1].get()};
  for (const Machine* const machine : machines)
    EXPECT_TRUE(Eventually(30s, [&] { return machine->OwnedObjects() == 0; })) << machine->OwnedObjects();
}

// Restarting actors on machines that are killed, called from everywhere while their workers die, too.
TEST_F(MachineChaos, EveryCallOfAnActorIsAnsweredOrFailsWithACause) {
  std::mt19937 random(20261126);
  size_t right = 0, errors = 0;
  {
    std::vector<ray::ActorHandle<Counter>> counters;
    for (int i = 0; i < 4; ++i)
      // It asks for another resource than its callers, which would otherwise wait for each other.
      counters.push_back(ray::Actor(Counter::Create)
                             .SetResource(i % 2 == 0 ? "actors" : "CPU", i % 2 == 0 ? 1 : 0.1)
                             .SetMaxRestarts(-1)
                             .Remote(0));
    std::deque<ray::ObjectRef<int>> calls;
    const auto take = [&] {
      const auto call = calls.front();
      calls.pop_front();
      try {
        EXPECT_GT(*call.Get(30'000), 0);
        ++right;
      } catch (const ray::internal::RayTimeoutException& e) {
        ADD_FAILURE() << e.what();
      } catch (const ray::internal::RayException& e) {
        EXPECT_TRUE(NamesTheCause(e.what())) << e.what();
        ++errors;
      }
    };
    for (int round = 0; round < 8; ++round) {
      for (int i = 0; i < 60; ++i) {
        auto& counter = counters[random() % counters.size()];
        if (i % 4 == 0)
          calls.push_back(ray::Task(CallThrough).SetResource(i % 8 == 0 ? "there" : "CPU", 1).Remote(counter, 1));
        else
          calls.push_back(counter.Task(&Counter::Increment).Remote(1));
      }
      if (round % 2 == 0) {
        auto& victim = others_[(round / 2) % 2];
        victim->raylet->Signal(SIGKILL);
        victim = Another();
      } else {
        try {
          ::kill(*counters[random() % counters.size()].Task(&Counter::Pid).Remote().Get(30'000), SIGKILL);
        } catch (const ray::internal::RayActorException&) {}
      }
      while (calls.size() > 30) take();
    }
    while (!calls.empty()) take();
    for (auto& counter : counters) {
      EXPECT_TRUE(Eventually(20s, [&] {
        try {
          return *counter.Task(&Counter::Increment).Remote(1).Get(20'000) > 0;
        } catch (const ray::internal::RayActorException&) {
          return false;
        }
      }));
    }
  }
  EXPECT_EQ(right + errors, 8u * 60u);
  EXPECT_GT(right, errors);
  const Machine* const machines[] = {&a_, others_[0].get(), others_[1].get()};
  for (const Machine* const machine : machines)
    EXPECT_TRUE(Eventually(30s, [&] { return machine->OwnedObjects() == 0; })) << machine->OwnedObjects();
}

}  // namespace
}  // namespace cluster_test
