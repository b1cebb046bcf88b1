// Get and Wait of very many references to another process's objects, on one machine and on another one. Their cost
// grows with the count, as does the memory of the processes that know them.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <fstream>

#include <ray/api.h>

#include "tests/cluster/machines.h"

namespace many_refs {
namespace {

using raylet::test::Machine;
using raylet::test::RunFolder;
using raylet::test::WriteToken;

class Maker {
 public:
  static Maker* Create() { return new Maker(); }
  std::vector<ray::ObjectRef<int>> Make(int count) {
    std::vector<ray::ObjectRef<int>> refs;
    for (int i = 0; i < count; ++i) refs.push_back(ray::Put(i));
    return refs;
  }
};
RAY_REMOTE(Maker::Create, &Maker::Make);

// RAYLET_MANY_REFS asks for more of them, by hand.
int Refs(int usual) {
  const char* const refs = std::getenv("RAYLET_MANY_REFS");
#ifdef RAYLET_SANITIZED
  usual = 10'000;
#endif
  return refs == nullptr ? usual : std::atoi(refs);
}

// The most memory that the process has had so far.
uint64_t PeakBytes(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::string word;
  uint64_t kib = 0;
  while (status >> word)
    if (word == "VmHWM:") status >> kib;
  return kib << 10;
}

class ManyRefs : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream("/proc/self/clear_refs") << "5";  // the peak begins anew
    driver_before_ = PeakBytes(::getpid());
    ray::RayConfig config;
    config.address = here_.socket();
    ray::Init(config);
  }
  void TearDown() override { ray::Shutdown(); }

  std::vector<ray::ObjectRef<int>> MadeAt(const std::string& resource, int usual = 100'000) {
    count_ = Refs(usual);
    maker_ = ray::Actor(Maker::Create).SetResource(resource, 1).Remote();
    return *maker_.Task(&Maker::Make).Remote(count_).Get(600'000);
  }
  void ExpectAllAreGot(const std::vector<ray::ObjectRef<int>>& refs) {
    const auto begin = std::chrono::steady_clock::now();
    const auto values = ray::Get(refs, 60'000);
    Report("get_ms", begin);
    ASSERT_EQ(values.size(), refs.size());
    for (int i = 0; i < count_; ++i) ASSERT_EQ(*values[i], i);
  }
  void ExpectAllBecomeReady(const std::vector<ray::ObjectRef<int>>& refs) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(ray::Wait(refs, count_, 60'000).ready.size(), refs.size());
    Report("wait_ms", begin);
  }
  // Beside what a process has anyway.
  void ExpectBoundedMemory() {
    const auto count = static_cast<uint64_t>(count_);
    const uint64_t driver = PeakBytes(::getpid()) - driver_before_;
    const uint64_t here = PeakBytes(here_.raylet->pid()), there = PeakBytes(there_.raylet->pid());
    RecordProperty("driver_bytes_per_ref", std::to_string(driver / count));
    RecordProperty("raylet_here_bytes_per_ref", std::to_string(here / count));
    RecordProperty("raylet_there_bytes_per_ref", std::to_string(there / count));
#ifndef RAYLET_SANITIZED
    EXPECT_LT(driver, kBytesPerRefMax * count + kOtherBytesMax);
    EXPECT_LT(here, kBytesPerRefMax * count + kOtherBytesMax);
    EXPECT_LT(there, kBytesPerRefMax * count + kOtherBytesMax);
#endif
  }

 private:
  static constexpr uint64_t kBytesPerRefMax = 1'500;
  static constexpr uint64_t kOtherBytesMax = uint64_t{32} << 20;

  void Report(const std::string& what, std::chrono::steady_clock::time_point begin) {
    const auto ms = (std::chrono::steady_clock::now() - begin) / std::chrono::milliseconds(1);
    RecordProperty(what, std::to_string(ms));
    std::printf("%s of %d: %lld\n", what.c_str(), count_, static_cast<long long>(ms));
  }

  RunFolder folder_;
  const std::string token_ = WriteToken(folder_);
  Machine here_{token_, {"--num-cpus", "2", "--resources", R"({"here": 1})"}, "256M"};
  Machine there_{token_, {"--num-cpus", "2", "--resources", R"({"there": 1})", "--peers", here_.address}, "256M"};
  uint64_t driver_before_ = 0;
  int count_ = 0;
  ray::ActorHandle<Maker> maker_;
};

TEST_F(ManyRefs, AreGotFromAnotherMachine) {
  ExpectAllAreGot(MadeAt("there", 200'000));
  ExpectBoundedMemory();
}

TEST_F(ManyRefs, OfAnotherMachineBecomeReadyForWait) {
  const auto refs = MadeAt("there");
  ExpectAllBecomeReady(refs);
  ExpectAllAreGot(refs);
  ExpectBoundedMemory();
}

TEST_F(ManyRefs, OfThisMachineAreReadyAndGot) {
  const auto refs = MadeAt("here");
  ExpectAllBecomeReady(refs);
  ExpectAllAreGot(refs);
  ExpectBoundedMemory();
}

}  // namespace
}  // namespace many_refs
