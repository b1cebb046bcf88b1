// call_bench: tasks, actor calls and placement groups on private daemons, one at a time and many. Beside them stand
// this machine's limits for two processes: parked on futexes, spinning, and filling a ring. Beside Wait and Get of many
// results stands what their own results take, made and dropped without the library.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include <ray/api.h>

#include "tests/bench/bench_flags.h"
#include "tests/bench/figures.h"
#include "tests/bench/machine_limits.h"

namespace raylet::bench {
namespace {

constexpr int kOneAtATime = 20'000;
constexpr int kTasksOneAtATime = 2'000;
constexpr int kPipelined = 20'000;
constexpr int kRounds = 15;
constexpr int kMany = 10'000;
constexpr int kManyTimes = 500;
constexpr int kGroupsOneAtATime = 2'000;
constexpr int kGroupsAtATime = 64;
constexpr int kGroupBatches = 50;  // in one round

int Increment(int value) { return value + 1; }

class Target {
 public:
  static Target* Create() { return new Target(); }
  int Increment(int by) { return value_ += by; }
  size_t Size(const ray::Array<float>& array) { return array.size(); }

 private:
  int value_ = 0;
};
RAY_REMOTE(Increment, Target::Create, &Target::Increment, &Target::Size);

std::vector<double> OneAtATime(int count, const std::function<void()>& call) {
  std::vector<double> seconds;
  for (int i = 0; i < count / 10; ++i) call();
  for (int i = 0; i < count; ++i) {
    const double start = NowSeconds();
    call();
    seconds.push_back(NowSeconds() - start);
  }
  return seconds;
}

template <class Submit>
Figure Pipelined(const std::string& name, int count, const std::string& limit_name, double limit, Submit submit) {
  std::vector<double> rates;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<decltype(submit())> results;
    results.reserve(static_cast<size_t>(count));
    const double start = NowSeconds();
    for (int i = 0; i < count; ++i) results.push_back(submit());
    for (const auto& result : results) result.Get();
    rates.push_back(count / (NowSeconds() - start));
  }
  Figure figure;
  figure.name = name;
  figure.p50 = Percentile(rates, 50);
  figure.p99 = Percentile(rates, 1);  // for a rate, the slow tail
  figure.unit = "calls/s";
  figure.limit_name = limit_name;
  figure.limit = limit;
  return figure;
}

// The call and its limit in turn.
Figure BesideItsResult(const std::string& name, const std::function<void()>& call, const std::string& limit_name,
                       const std::function<void()>& limit) {
  std::vector<double> seconds, limit_seconds;
  for (int i = 0; i < kManyTimes; ++i) {
    const double begin = NowSeconds();
    limit();
    const double middle = NowSeconds();
    call();
    limit_seconds.push_back(middle - begin);
    seconds.push_back(NowSeconds() - middle);
  }
  return TimeFigure(name, seconds, 1e6, "us", limit_name, Percentile(limit_seconds, 50) * 1e6);
}

void AddManyResults(ray::ActorHandle<Target>& actor, std::vector<Figure>& figures) {
  std::vector<ray::ObjectRef<int>> refs;
  for (int i = 0; i < kMany; ++i) refs.push_back(actor.Task(&Target::Increment).Remote(1));
  ray::Get(refs);
  figures.push_back(BesideItsResult(
      "Wait for 1 of 10,000 results", [&] { ray::Wait(refs, 1, -1); }, "two lists of these references",
      [&] {
        const std::list<ray::ObjectRef<int>> ready(refs.begin(), refs.begin() + 1);
        const std::list<ray::ObjectRef<int>> unready(refs.begin() + 1, refs.end());
      }));
  figures.back().promise = {Promise::Of::kRatio, Promise::Side::kAtMost, 1.3};
  figures.push_back(BesideItsResult(
      "Get of 10,000 results", [&] { ray::Get(refs); }, "as many shared_ptrs of ints in small blocks",
      [&] {
        std::vector<std::shared_ptr<int>> values;
        values.reserve(refs.size());
        for (int i = 0; i < kMany; ++i)
          values.push_back(std::allocate_shared<int>(ray::internal::BlockAllocator<int>(), i));
      }));
  figures.back().promise = {Promise::Of::kMedian, Promise::Side::kAtMost, 1'000};
}

// So little that many of them fit on one machine.
ray::PlacementGroup CreateGroup() {
  return ray::CreatePlacementGroup({"", {{{"CPU", 0.01}}}, ray::PlacementStrategy::PACK});
}

void CheckCreated(const ray::PlacementGroup& group) {
  if (group.Wait(30)) return;
  std::fprintf(stderr, "call_bench: a placement group was not created within 30 s\n");
  std::exit(1);
}

// Groups of a batch are created in order. So when the last one is, all are.
Figure GroupsInBatches(const std::string& limit_name, double limit) {
  std::vector<double> rates;
  for (int round = 0; round < kRounds; ++round) {
    const double start = NowSeconds();
    for (int batch = 0; batch < kGroupBatches; ++batch) {
      std::vector<ray::PlacementGroup> groups;
      for (int i = 0; i < kGroupsAtATime; ++i) groups.push_back(CreateGroup());
      CheckCreated(groups.back());
      for (const auto& group : groups) ray::RemovePlacementGroup(group.GetID());
    }
    rates.push_back(kGroupBatches * kGroupsAtATime / (NowSeconds() - start));
  }
  Figure figure;
  figure.name = "placement groups, created and removed, 64 at a time";
  figure.p50 = Percentile(rates, 50);
  figure.p99 = Percentile(rates, 1);  // for a rate, the slow tail
  figure.unit = "groups/s";
  figure.limit_name = limit_name;
  figure.limit = limit;
  figure.promise = {Promise::Of::kMedian, Promise::Side::kAtLeast, 20'000};
  return figure;
}

int Run(const BenchFlags& flags) {
  const double futex_us = FutexRoundTripUs();
  const double spin_us = SpinRoundTripUs();
  const double ring_rate = PipelinedRingCallsPerSecond();
  const std::string parked = "round trip of two parked processes";
  const std::string spinning = "round trip of two spinning processes";
  const std::string ring = "two bare rings, pipelined";
  std::vector<Figure> figures;
  ray::Init();
  {
    auto actor = ray::Actor(Target::Create).Remote();
    actor.Task(&Target::Increment).Remote(1).Get();
    const auto calls = OneAtATime(kOneAtATime, [&] { actor.Task(&Target::Increment).Remote(1).Get(); });
    figures.push_back(TimeFigure("actor call, one at a time", calls, 1e6, "us", parked, futex_us));
    figures.push_back(TimeFigure("actor call, one at a time", calls, 1e6, "us", spinning, spin_us));
    figures.front().promise = {Promise::Of::kRatio, Promise::Side::kAtMost, 2.5};
    figures.push_back(Pipelined("actor calls, pipelined", kPipelined, ring, ring_rate,
                                [&] { return actor.Task(&Target::Increment).Remote(1); }));
    figures.back().promise = {Promise::Of::kMedian, Promise::Side::kAtLeast, 100'000};
    AddManyResults(actor, figures);
    const auto array = ray::Array<float>::CopyOf(std::vector<float>(1 << 20, 1));
    figures.push_back(TimeFigure("actor call with a 4 MiB array",
                                 OneAtATime(kOneAtATime / 4, [&] { actor.Task(&Target::Size).Remote(array).Get(); }),
                                 1e6, "us", parked, futex_us));
    figures.push_back(Pipelined("actor calls with a 4 MiB array, pipelined", kPipelined / 4, ring, ring_rate,
                                [&] { return actor.Task(&Target::Size).Remote(array); }));
    figures.push_back(TimeFigure("task, one at a time",
                                 OneAtATime(kTasksOneAtATime, [] { ray::Task(Increment).Remote(1).Get(); }), 1e6, "us",
                                 parked, futex_us));
    figures.push_back(
        Pipelined("tasks, pipelined", kPipelined / 10, ring, ring_rate, [] { return ray::Task(Increment).Remote(1); }));
    figures.push_back(TimeFigure("placement group, created, awaited and removed",
                                 OneAtATime(kGroupsOneAtATime,
                                            [] {
                                              const auto group = CreateGroup();
                                              CheckCreated(group);
                                              ray::RemovePlacementGroup(group.GetID());
                                            }),
                                 1e6, "us", parked, futex_us));
    figures.push_back(GroupsInBatches("round trips of two parked processes", 1e6 / futex_us));
  }
  ray::Shutdown();
  return Report(flags, figures);
}

}  // namespace
}  // namespace raylet::bench

int main(int argc, char** argv) {
  if (std::getenv("RAYLET_WORKER_TOKEN") != nullptr) ray::Init();
  int exit_code = 0;
  const auto flags = raylet::bench::ReadFlags(
      argc, argv, "call_bench: what calls of tasks and actors cost, with daemons of its own.", exit_code);
  return flags ? raylet::bench::Run(*flags) : exit_code;
}
